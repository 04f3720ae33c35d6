/* Photos: what they are by their bytes, and how they are made acceptable before they are sent. */

const MB = 2 ** 20;
/* the documented limits of each operation, both ends included */
export const RULES = {
  color: { what: "recolouring", kinds: ["JPEG", "PNG"], bytes: 3 * MB, least: 65, most: [9999, 9999], rgb: true },
  erase: { what: "erasing", kinds: ["JPEG", "PNG", "BMP"], bytes: 3 * MB, least: 1, most: [4095, 4095], upright: true },
  motion: { what: "motion", kinds: ["JPEG", "PNG", "BMP"], bytes: 3 * MB, least: 33, most: [1999, 1999] },
  cartoon: { what: "a cartoon", kinds: ["JPEG", "PNG", "BMP", "WEBP"], bytes: 10 * MB, least: 256, most: [5760, 3240] },
};
const QUALITIES = [0.95, 0.9, 0.82];
const SMALLER = 0.8;
const EXTENSIONS = { JPEG: "jpg", PNG: "png", BMP: "bmp", WEBP: "webp" };

/* What the person in front of the page can do something about. */
export class Trouble extends Error {}

/* Return what opens files for one place: null, where another file was chosen for it meanwhile. */
export function opener() {
  let last = null;
  return async (file) => {
    last = file;
    let opened;
    try {
      opened = await open(file);
    } catch (error) {
      if (last !== file) return null;
      throw error;
    }
    if (last === file) return opened;
    URL.revokeObjectURL(opened.url);
    return null;
  };
}

/* Open a file: its size the right way up, an address to show it, and what its bytes say. */
async function open(file) {
  const name = file.name || "pasted photo";
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new Trouble(`This browser cannot open ${name} as a picture. Choose a JPEG, PNG or WebP.`);
  }
  const { width, height } = bitmap;
  bitmap.close();
  /* kept in memory: the file may change, or be taken away, before it is sent */
  const data = await file.arrayBuffer();
  const kept = new Blob([data], { type: file.type });
  const url = URL.createObjectURL(kept);
  return { blob: kept, name, width, height, ...look(new DataView(data)), url, mask: [] };
}

/* Return what is sent of a photo: {blob, name, width, height, change}. `change` says what was done. */
export async function prepare(photo, rules) {
  if (Math.min(photo.width, photo.height) < rules.least) {
    const least = `${rules.least} × ${rules.least}`;
    throw new Trouble(
      `${photo.name} has ${photo.width} × ${photo.height} pixels, and ${rules.what} needs at least ${least}. Choose a larger photo.`,
    );
  }
  const [mostWide, mostHigh] = rules.most;
  const turned = photo.orientation > 4;
  const [wide, high] = turned ? [photo.height, photo.width] : [photo.width, photo.height];
  const why = [];
  if (!rules.kinds.includes(photo.kind)) why.push(`it must be ${rules.kinds.join(" or ")}`);
  else if (rules.rgb && !photo.rgb) why.push("it must be RGB without transparency");
  else if (rules.upright && photo.orientation !== 1) why.push("it is stored turned");
  if (wide > mostWide || high > mostHigh) why.push(`at most ${mostWide} × ${mostHigh} pixels are taken`);
  if (photo.blob.size > rules.bytes) why.push(`at most ${megabytes(rules.bytes)} are taken`);
  if (!why.length) {
    const name = `image.${EXTENSIONS[photo.kind]}`;
    return { blob: photo.blob, name, width: photo.width, height: photo.height, change: "" };
  }
  const made = await converted(photo, Math.min(1, mostWide / photo.width, mostHigh / photo.height), rules);
  made.change =
    `Sent as a JPEG of ${made.width} × ${made.height} pixels, ${megabytes(made.blob.size)}, because ${why.join(" and ")} for ${rules.what}.`;
  return made;
}

async function converted(photo, scale, rules) {
  const bitmap = await createImageBitmap(photo.blob);
  const canvas = document.createElement("canvas");
  try {
    for (; ; scale *= SMALLER) {
      canvas.width = Math.floor(photo.width * scale);
      canvas.height = Math.floor(photo.height * scale);
      if (Math.min(canvas.width, canvas.height) < rules.least) {
        throw new Trouble(`${photo.name} cannot be made to fit for ${rules.what}. Choose another photo, or cut it.`);
      }
      const context = canvas.getContext("2d", { alpha: false });
      context.fillStyle = "#fff"; // what is transparent becomes paper
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
      for (const quality of QUALITIES) {
        /* null where a browser has no memory for a canvas of that size */
        const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", quality));
        if (!blob) break;
        if (blob.size <= rules.bytes) {
          return { blob, name: "image.jpg", width: canvas.width, height: canvas.height };
        }
      }
    }
  } finally {
    bitmap.close();
    canvas.width = canvas.height = 0; // Safari counts a canvas until it is collected
  }
}

export const megabytes = (bytes) =>
  bytes < MB / 10 ? `${Math.max(1, Math.round(bytes / 1024))} KB` : `${+(bytes / MB).toFixed(1)} MB`;

/* --- what the bytes say: the format, whether it is plain RGB, the EXIF orientation ------------- */

function look(bytes) {
  const starts = (at, text) =>
    at + text.length <= bytes.byteLength && [...text].every((letter, i) => bytes.getUint8(at + i) === letter.charCodeAt(0));
  if (starts(0, "\xff\xd8\xff")) return { kind: "JPEG", ...jpeg(bytes, starts) };
  if (starts(0, "\x89PNG")) return { kind: "PNG", ...png(bytes, starts) };
  if (starts(0, "RIFF") && starts(8, "WEBP")) return { kind: "WEBP", rgb: false, orientation: 1 };
  return { kind: starts(0, "BM") ? "BMP" : "other", rgb: false, orientation: 1 };
}

function png(bytes, starts) {
  let rgb = bytes.byteLength > 25 && bytes.getUint8(24) === 8 && bytes.getUint8(25) === 2;
  let orientation = 1;
  for (let at = 8; at + 8 < bytes.byteLength && !starts(at + 4, "IEND"); at += 12 + bytes.getUint32(at)) {
    if (starts(at + 4, "tRNS")) rgb = false;
    if (starts(at + 4, "eXIf")) orientation = tiffOrientation(bytes, at + 8, starts);
  }
  return { rgb, orientation };
}

function jpeg(bytes, starts) {
  let orientation = 1;
  for (let at = 2; at + 10 < bytes.byteLength && bytes.getUint8(at) === 0xff; at += 2 + bytes.getUint16(at + 2)) {
    const marker = bytes.getUint8(at + 1);
    if (marker === 0xe1 && starts(at + 4, "Exif\0\0")) orientation = tiffOrientation(bytes, at + 10, starts);
    /* a frame header; DHT, JPG and DAC have numbers among theirs */
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { rgb: bytes.getUint8(at + 9) === 3, orientation };
    }
  }
  return { rgb: false, orientation };
}

function tiffOrientation(bytes, start, starts) {
  const little = starts(start, "II");
  try {
    const list = start + bytes.getUint32(start + 4, little);
    for (let i = 0, count = bytes.getUint16(list, little); i < count; i += 1) {
      const entry = list + 2 + 12 * i;
      if (bytes.getUint16(entry, little) === 0x0112) {
        const found = bytes.getUint16(entry + 8, little);
        return found >= 1 && found <= 8 ? found : 1;
      }
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // broken metadata says nothing
  }
  return 1;
}
