/* The panel: which operation, with which options, and the form that is sent of them. */

import { asPng } from "./paint.js";
import { opener, prepare, RULES } from "./photo.js";

const byId = (id) => document.getElementById(id);
const panel = byId("panel");
const chosen = (name) => panel.querySelector(`[name=${name}]:checked`).value;
const STYLES = [
  "Vintage comic", "3D fairy tale", "Two-dimensional",
  "Refreshing and elegant", "Future technology", "Chinese painting",
  "General in battles", "Colourful cartoon", "Graceful Chinese",
];
const MOST_COLORS = 7;
const FIRST_COLORS = ["#056a6b", "#f2b84b", "#0d3b66"];
const MORE_COLORS = ["#d1495b", "#8f2d56", "#edae49", "#3066be", "#00798c", "#6a994e", "#f4f1de"];

const open = opener();
let reference = null;

export const kindNow = () => chosen("kind");
export const ready = () =>
  kindNow() !== "color" || chosen("mode") !== "REF_PIC" || reference ? "" : "Choose the second photo first";

/* Take the options as they are now: {kind, title, suffix, form}; `form` makes what is sent. */
export function order(photo) {
  const kind = kindNow();
  const { title, suffix, fields, files = async () => ({}) } = DESCRIBED[kind](photo);
  const form = async () => {
    const data = new FormData();
    const image = await prepare(photo, RULES[kind]);
    for (const [name, value] of Object.entries(fields)) data.append(name, value);
    data.append("image", image.blob, image.name);
    const changes = [image.change];
    for (const [name, file] of Object.entries(await files(image))) {
      data.append(name, file.blob, file.name);
      changes.push(file.change && `The second photo: ${file.change}`);
    }
    return { form: data, change: changes.filter(Boolean).join(" ") };
  };
  return { kind, title, suffix, form };
}

const DESCRIBED = {
  color: () => {
    const mode = chosen("mode");
    const fields = { task_type: "async", mode, degree: byId("degree").value };
    if (mode === "AUTO") {
      const count = byId("count").value;
      return { title: `Colours · ${count} automatic`, suffix: "colours", fields: { ...fields, color_count: count } };
    }
    if (mode === "TEMPLATE") {
      const colors = Array.from(swatches(), (swatch) => swatch.value.slice(1).toUpperCase());
      return { title: "Colours · palette", suffix: "palette", fields: { ...fields, color_template: colors.join(",") } };
    }
    const from = reference;
    const files = async () => ({ ref: { ...(await prepare(from, RULES.color)), name: `ref.${from.kind === "PNG" ? "png" : "jpg"}` } });
    return { title: `Colours · of ${from.name}`, suffix: "recoloured", fields, files };
  },
  erase: (photo) => {
    const mask = [...photo.mask]; // what is painted later belongs to the next job
    const files = async ({ width, height }) => ({
      user_mask: { blob: await asPng(mask, width, height), name: "mask.png" },
    });
    return { title: "Erase", suffix: "erased", fields: {}, files };
  },
  motion: () => {
    const bits = chosen("motion");
    const what = { "01": "sky", 10: "hair", 11: "sky and hair" }[bits];
    return { title: `Motion · ${what}`, suffix: "motion", fields: { operation: bits } };
  },
  cartoon: () => {
    const index = Number(chosen("style"));
    const name = STYLES[index];
    const suffix = `cartoon-${name.toLowerCase().replaceAll(" ", "-")}`;
    return { title: `Cartoon · ${name}`, suffix, fields: { task_type: "async", index: String(index) } };
  },
};

/* --- the controls ------------------------------------------------------------------------------ */

const swatches = () => byId("swatches").querySelectorAll("input");

function addSwatch(color) {
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  const picker = Object.assign(document.createElement("input"), { type: "color", value: color });
  const less = Object.assign(document.createElement("button"), { type: "button", className: "less", textContent: "×" });
  less.addEventListener("click", () => {
    const next = swatch.nextElementSibling.querySelector("input") ?? byId("swatch-more");
    swatch.remove();
    nameSwatches();
    next.focus();
  });
  swatch.append(picker, less);
  byId("swatch-more").before(swatch);
  nameSwatches();
  return picker;
}

function nameSwatches() {
  const all = swatches();
  all.forEach((picker, at) => {
    picker.setAttribute("aria-label", `Colour ${at + 1}`);
    picker.nextElementSibling.setAttribute("aria-label", `Remove colour ${at + 1}`);
    picker.nextElementSibling.hidden = all.length === 1;
  });
  byId("swatch-more").hidden = all.length === MOST_COLORS;
}

export async function takeReference(file) {
  const opened = await open(file);
  if (!opened) return;
  if (reference) URL.revokeObjectURL(reference.url);
  reference = opened;
  byId("ref-shown").src = reference.url;
  byId("ref-shown").hidden = false;
  byId("ref-name").textContent = reference.name;
  panel.dispatchEvent(new Event("change"));
}

function show() {
  for (const part of panel.querySelectorAll("[data-kind]")) part.hidden = part.dataset.kind !== kindNow();
  for (const part of panel.querySelectorAll("[data-mode]")) part.hidden = part.dataset.mode !== chosen("mode");
  byId("count-shown").textContent = byId("count").value;
  byId("degree-shown").textContent = `${Math.round(byId("degree").value * 100)} %`;
}

FIRST_COLORS.forEach(addSwatch);
byId("swatch-more").addEventListener("click", () => addSwatch(MORE_COLORS[swatches().length]).focus());
byId("styles").append(
  ...STYLES.map((name, at) => {
    const label = document.createElement("label");
    const input = Object.assign(document.createElement("input"), { type: "radio", name: "style", value: at, className: "aside" });
    input.checked = at === 0;
    const tile = Object.assign(document.createElement("span"), { className: "tile" });
    const words = Object.assign(document.createElement("span"), { textContent: name });
    label.append(input, tile, words);
    return label;
  }),
);
panel.addEventListener("input", show);
panel.addEventListener("change", show);
show();
