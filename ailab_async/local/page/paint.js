/* The mask: a list of what was done, in shares of the photo, so that it fits any size of it. */

import { maskPng } from "./png.js";

const byId = (id) => document.getElementById(id);
const canvas = byId("mask");
const ring = byId("ring");
const box = byId("box");
const SIDE = 1400; // pixels of the longer side that are painted on; what is sent is drawn anew
const STEP = 0.02;
const SMALL = 48;

let steps = [];
let stroke = null;
let corner = null;
let tell = () => {};
let cursor = { x: 0.4, y: 0.4, wide: 0.2, high: 0.2 };
const color = getComputedStyle(document.documentElement).getPropertyValue("--mask");

/* Begin with a photo, and with what was painted on it before. */
export function paintOn(photo) {
  const scale = Math.min(1, SIDE / Math.max(photo.width, photo.height));
  canvas.width = Math.max(1, Math.round(photo.width * scale));
  canvas.height = Math.max(1, Math.round(photo.height * scale));
  steps = photo.mask;
  stroke = corner = null;
  ring.hidden = box.hidden = true;
  redraw();
}

/* Have somebody told the painted share after each change, and in words what the keyboard did. */
export function onPainted(listener) {
  tell = listener;
}

/* Return the mask as PNG, white where it was painted. */
export function asPng(mask, width, height) {
  const sheet = new OffscreenCanvas(width, height);
  const context = sheet.getContext("2d", { willReadFrequently: true });
  for (const step of mask) draw(context, step);
  return maskPng(context.getImageData(0, 0, width, height));
}

/* Return which share of the photo is painted, 0 to 1. */
export function share(mask) {
  const sheet = new OffscreenCanvas(SMALL, SMALL);
  const context = sheet.getContext("2d", { willReadFrequently: true });
  for (const step of mask) draw(context, step);
  const { data } = context.getImageData(0, 0, SMALL, SMALL);
  return data.reduce((sum, value, at) => sum + (at % 4 === 3 ? value : 0), 0) / (255 * SMALL * SMALL);
}

function draw(context, step) {
  const { width, height } = context.canvas;
  context.save();
  context.fillStyle = context.strokeStyle = color;
  if (step.kind === "clear") context.clearRect(0, 0, width, height);
  else if (step.kind === "invert") {
    context.globalCompositeOperation = "xor";
    context.fillRect(0, 0, width, height);
  } else if (step.kind === "box") {
    context.fillRect(step.x * width, step.y * height, step.wide * width, step.high * height);
  } else {
    if (step.kind === "rub") context.globalCompositeOperation = "destination-out";
    /* strokes are laid in units of the photo's shorter side, so that they are round */
    const unit = Math.min(step.shape, 1);
    context.scale(width / step.shape, height);
    context.lineWidth = step.size * unit;
    context.lineCap = context.lineJoin = "round";
    context.beginPath();
    const [[x, y]] = step.points;
    context.moveTo(x * step.shape, y);
    context.lineTo(x * step.shape + 1e-4, y); // a touch is a dot
    for (const [px, py] of step.points.slice(1)) context.lineTo(px * step.shape, py);
    context.stroke();
  }
  context.restore();
}

function redraw(said = "") {
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  for (const step of steps) draw(context, step);
  told(said);
}

function told(said = "") {
  byId("undo").disabled = steps.length === 0;
  byId("clear").disabled = steps.length === 0 || steps.at(-1).kind === "clear";
  tell(said);
}

function add(step, said = "") {
  steps.push(step);
  draw(canvas.getContext("2d"), step);
  told(said);
}

/* --- with a mouse, a pen, a finger ------------------------------------------------------------- */

const tool = () => document.querySelector("[name=tool]:checked").value;
const brush = () => byId("brush-size").value / 100;
const place = (event) => {
  const area = canvas.getBoundingClientRect();
  return [(event.clientX - area.left) / area.width, (event.clientY - area.top) / area.height];
};
const set = (mark, values) => {
  for (const [name, value] of Object.entries(values)) mark.style.setProperty(`--${name}`, `${value * 100}%`);
  mark.hidden = false;
};
const follow = (event) => {
  if (tool() === "box" || event.pointerType === "touch") {
    ring.hidden = true;
    return;
  }
  const [x, y] = place(event);
  const shape = canvas.width / canvas.height;
  set(ring, { x, y, wide: (brush() * Math.min(shape, 1)) / shape });
};
const between = ([x, y], [fromX, fromY]) => {
  const inside = (value) => Math.min(1, Math.max(0, value));
  const [left, right] = [inside(Math.min(x, fromX)), inside(Math.max(x, fromX))];
  const [top, bottom] = [inside(Math.min(y, fromY)), inside(Math.max(y, fromY))];
  return { x: left, y: top, wide: right - left, high: bottom - top };
};

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || stroke || corner || !event.isPrimary) return;
  canvas.setPointerCapture(event.pointerId);
  box.hidden = true;
  if (tool() === "box") {
    corner = place(event);
    return;
  }
  stroke = { kind: tool(), points: [place(event)], size: brush(), shape: canvas.width / canvas.height };
  draw(canvas.getContext("2d"), stroke);
});
canvas.addEventListener("pointermove", (event) => {
  follow(event);
  if (corner) set(box, between(place(event), corner));
  if (!stroke) return;
  const all = event.getCoalescedEvents?.() ?? [];
  const last = stroke.points.at(-1);
  const fresh = (all.length ? all : [event]).map(place);
  stroke.points.push(...fresh);
  draw(canvas.getContext("2d"), { ...stroke, points: [last, ...fresh] });
});
canvas.addEventListener("pointerup", (event) => {
  if (corner) {
    const area = between(place(event), corner);
    corner = null;
    box.hidden = true;
    if (area.wide * area.high > 0) add({ kind: "box", ...area });
  } else if (stroke) {
    steps.push(stroke);
    stroke = null;
    told();
  }
});
canvas.addEventListener("pointercancel", () => {
  stroke = corner = null;
  box.hidden = ring.hidden = true;
  redraw();
});
canvas.addEventListener("pointerleave", () => {
  ring.hidden = true;
});

/* --- with a keyboard --------------------------------------------------------------------------- */

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const percent = (value) => `${Math.round(value * 100)} %`;
canvas.addEventListener("focus", () => {
  if (canvas.matches(":focus-visible")) set(box, cursor);
});
canvas.addEventListener("blur", () => {
  box.hidden = true;
});
canvas.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && event.key === "z") {
    event.preventDefault();
    undo();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    add({ kind: "box", ...cursor }, `Marked a box of ${percent(cursor.wide)} by ${percent(cursor.high)}.`);
  } else if (ARROWS[event.key]) {
    event.preventDefault();
    const [right, down] = ARROWS[event.key].map((step) => step * STEP);
    const kept = (value, least, most) => Math.min(most, Math.max(least, value));
    if (event.shiftKey) {
      cursor.wide = kept(cursor.wide + right, STEP, 1 - cursor.x);
      cursor.high = kept(cursor.high + down, STEP, 1 - cursor.y);
    } else {
      cursor.x = kept(cursor.x + right, 0, 1 - cursor.wide);
      cursor.y = kept(cursor.y + down, 0, 1 - cursor.high);
    }
    set(box, cursor);
    tell(`${percent(cursor.x)} from the left, ${percent(cursor.y)} from above, ${percent(cursor.wide)} by ${percent(cursor.high)}.`);
  }
});

const undo = () => {
  if (steps.pop()) redraw("Taken back.");
};
byId("undo").addEventListener("click", undo);
byId("invert").addEventListener("click", () => add({ kind: "invert" }, "Inverted."));
byId("clear").addEventListener("click", () => add({ kind: "clear" }, "Cleared."));
