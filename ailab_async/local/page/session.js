/* What was done in this window, as cards. */

import { WAITING } from "./jobs.js";
import { spent, stateOf } from "./viewer.js";

const byId = (id) => document.getElementById(id);
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
  const after = job.results.map((result) => preview(result, job.photo));
  const instead = WAITING.has(job.state) ? "…" : (job.failure?.text ?? "");
  const slot = part("slot", ...(after.length ? after : [part("why", instead)]));
  const pair = part("pair", part("slot", preview(job.photo)), slot);
  const foot = part("foot", job.title + (job.ended ? ` · ${spent(job)}` : ""));
  item.firstChild.replaceChildren(head, pair, foot);
}

/* Take a job's card away. */
export function drop(job) {
  cards.get(job)?.remove();
  cards.delete(job);
}

/* Mark the card of the job that is shown large. */
export function mark(job) {
  for (const [other, item] of cards) item.firstChild.setAttribute("aria-current", String(other === job));
}

function part(name, ...content) {
  const element = document.createElement("span");
  element.className = name;
  element.append(...content);
  return element;
}

function preview({ blob, url }, before) {
  if (!blob.type.startsWith("video/")) return Object.assign(new Image(), { src: url, alt: "" });
  /* browsers differ in whether they show the first frame of what does not play */
  return Object.assign(document.createElement("video"), { src: url, poster: before.url, muted: true, preload: "metadata" });
}
