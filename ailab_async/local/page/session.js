/* What was done in this window, as cards. */

import { seconds, stateOf } from "./viewer.js";

const byId = (id) => document.getElementById(id);
const MOSAICS = [1, 2, 4, 9];
const cards = new Map();

/* Show a job's card, made new or brought up to date. */
export function card(job, chosen) {
  let item = cards.get(job);
  if (!item) {
    item = document.createElement("li");
    item.className = "card job";
    item.append(Object.assign(document.createElement("button"), { type: "button" }));
    item.firstChild.addEventListener("click", () => chosen(job));
    cards.set(job, item);
    byId("jobs").prepend(item);
    byId("session").hidden = false;
  }
  const [word, mood] = stateOf(job);
  const look = `${word} ${job.results.length}`;
  if (item.dataset.look === look) return;
  item.dataset.look = look;
  const head = part("head", part("title", job.photo.name), part(`state ${mood}`, word));
  const after = job.results.map(({ blob, url }) => preview(blob.type.startsWith("video/") ? "video" : "img", url));
  const many = MOSAICS.find((room) => room >= after.length) ?? 9;
  const slot = part(`slot n${many}`, ...(after.length ? after : [job.state === "failed" ? "failed" : "…"]));
  const pair = part("pair", part("slot", preview("img", job.photo.url)), slot);
  const foot = part("foot", job.title + (job.ended ? ` · ${seconds(job).toFixed(1)} s` : ""));
  item.firstChild.replaceChildren(head, pair, foot);
}

/* Take a job's card away. */
export function drop(job) {
  cards.get(job)?.remove();
  cards.delete(job);
}

/* Mark the card of the job that is shown large. */
export function mark(job) {
  for (const [other, item] of cards) item.classList.toggle("shown", other === job);
}

function part(name, ...content) {
  const element = document.createElement("span");
  element.className = name;
  element.append(...content);
  return element;
}

function preview(tag, url) {
  const element = document.createElement(tag);
  if (tag === "video") Object.assign(element, { muted: true, preload: "metadata" });
  else element.alt = "";
  element.src = url;
  return element;
}
