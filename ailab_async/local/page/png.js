/* A mask as PNG: plain RGB, which a canvas does not promise, as it may add an alpha channel. */

const TABLE = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

const checksum = (bytes) => {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return ~sum >>> 0;
};

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(Array.from(name, (letter) => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, checksum(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/* Return a Blob: white where `pixels` (RGBA, as of a canvas) are more than half opaque, else black. */
export async function maskPng({ width, height, data: pixels }) {
  const rows = new Uint8Array(height * (1 + 3 * width));
  for (let y = 0, at = 0, from = 3; y < height; y += 1) {
    at += 1; // each row begins with its filter: none
    for (let x = 0; x < width; x += 1, at += 3, from += 4) {
      if (pixels[from] > 127) rows.fill(255, at, at + 3);
    }
  }
  const packing = new Blob([rows]).stream().pipeThrough(new CompressionStream("deflate"));
  const packed = new Uint8Array(await new Response(packing).arrayBuffer());
  const head = new Uint8Array([0, 0, 0, 0, 0, 0, 0, 0, 8, 2, 0, 0, 0]);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  const signature = new Uint8Array([137, 80, 78, 71, 13, 10, 26, 10]);
  const parts = [signature, chunk("IHDR", head), chunk("IDAT", packed), chunk("IEND", new Uint8Array())];
  return new Blob(parts, { type: "image/png" });
}
