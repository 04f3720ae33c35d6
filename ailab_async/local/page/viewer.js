/* The large picture: the photo, or what came of it beside what it was. */

import { WAITING } from "./jobs.js";

const byId = (id) => document.getElementById(id);
const WORDS = {
  sending: ["sending", "held", (time) => `On its way to the engine, ${time}`],
  queued: ["queued", "held", (time) => `Waiting for its turn, ${time}`],
  processing: ["processing", "", (time) => `Being worked on, ${time}`],
  done: ["done", "good", (time, job) => `${whatIs(job.results)} in ${time}`],
  failed: ["failed", "bad", (time) => `After ${time}`],
  stopped: ["stopped", "held", () => "No longer waited for"],
};
const whatIs = (results) => {
  if (results.length > 1) return `${results.length} pictures`;
  return results[0].blob.type.startsWith("video/") ? "A video" : "One picture";
};
let at = 0; // which result is shown
let shownJob = null;
let shownState = "";

export const stateOf = (job) => WORDS[job.state];
export const seconds = (job) => ((job.ended || Date.now()) - job.began) / 1000;
const spent = (job) => (seconds(job) < 10 && job.ended ? `${seconds(job).toFixed(1)} s` : `${Math.round(seconds(job))} s`);
export const resultShown = () => shownJob?.results[at];

/* Show how it is with a job, or with none. Called for every change and once a second. */
export function tell(job) {
  const focused = document.activeElement;
  describe(job);
  /* a button that goes away hands the keyboard on to the one that comes in its place */
  if (focused.hidden) ["again", "stop", "download"].map(byId).find((button) => !button.hidden)?.focus();
}

function describe(job) {
  byId("bar").hidden = !job || !WAITING.has(job.state);
  byId("well").setAttribute("aria-busy", String(!byId("bar").hidden));
  byId("state").hidden = !job;
  byId("note").hidden = !job?.note;
  byId("failure").hidden = !job?.failure;
  for (const id of ["download", "go-on", "download-all", "stop", "again"]) byId(id).hidden = true;
  byId("actions").hidden = !job;
  if (!job) {
    byId("status").textContent = "";
    return;
  }
  const [word, mood, text] = stateOf(job);
  byId("state").className = `state ${job.away ? "held" : mood}`;
  byId("state").textContent = job.away ? "away" : word;
  said(job.away || text(spent(job), job), job);
  byId("note").textContent = job.note;
  if (job.failure) {
    byId("failure-code").textContent = job.failure.code;
    byId("failure-code").hidden = !job.failure.code;
    byId("failure-text").textContent = job.failure.text;
    byId("failure-advice").textContent = job.failure.advice;
  }
  byId("stop").hidden = !WAITING.has(job.state);
  byId("again").hidden = job.state !== "stopped" && !job.failure?.advice;
  byId("again").textContent = job.state === "stopped" && job.task.id ? "Wait again" : "Try again";
  const result = resultShown();
  if (job !== shownJob || !result) return;
  byId("download").hidden = false;
  byId("download").href = result.url;
  byId("download").download = result.name;
  byId("download").textContent = job.results.length > 1 ? `Download no. ${at + 1}` : "Download";
  byId("download-all").hidden = job.results.length < 2;
  byId("go-on").hidden = !result.blob.type.startsWith("image/");
}

/* a screen reader is told of each state, not of each second */
function said(text, job) {
  const line = byId("status");
  const state = `${job.number} ${job.state} ${Boolean(job.away)}`;
  line.setAttribute("aria-live", state === shownState ? "off" : "polite");
  shownState = state;
  line.textContent = text;
}

/* Show a photo alone. */
export function showPhoto(photo) {
  put(byId("photo"), photo.url, byId("photo-stage"), photo.width / photo.height);
  only("photo-stage");
}

/* Show a job's results, the first of them large. */
export function showResult(job) {
  shownJob = job;
  const pictures = job.results.filter(({ blob }) => blob.type.startsWith("image/"));
  byId("strip").replaceChildren(
    ...pictures.map(({ url }, number) => {
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.setAttribute("aria-label", `Result ${number + 1}`);
      button.append(Object.assign(new Image(), { src: url, alt: "" }));
      button.addEventListener("click", () => pick(number));
      return button;
    }),
  );
  byId("edge").value = 50;
  slide();
  pick(0);
}

async function pick(number) {
  at = number;
  const job = shownJob;
  const result = job.results[number];
  Array.from(byId("strip").children, (button, other) => button.setAttribute("aria-pressed", String(other === number)));
  if (result.blob.type.startsWith("video/")) {
    const video = byId("video");
    if (video.src !== result.url) video.src = result.url;
    only("video");
    if (!matchMedia("(prefers-reduced-motion: reduce)").matches) video.play().catch(() => {}); // its own controls are there
  } else {
    const after = byId("after");
    after.src = result.url;
    await after.decode().catch(() => {}); // shown as far as it goes
    if (shownJob !== job || at !== number) return;
    /* what is cut off at the sides is cut off of the photo before as well */
    byId("before").src = job.photo.url;
    byId("compare").style.setProperty("--shape", after.naturalWidth / after.naturalHeight || 1);
    only("compare");
  }
  tell(job);
}

function put(image, url, stage, shape) {
  image.src = url;
  stage.style.setProperty("--shape", shape);
}

/* Show one of the things that may stand in the well. */
export function only(id) {
  for (const other of ["drop", "photo-stage", "compare", "video"]) byId(other).hidden = other !== id;
  byId("strip").hidden = id !== "compare" || byId("strip").children.length < 2;
  if (id !== "video") byId("video").pause();
}

const slide = () => byId("compare").style.setProperty("--cut", `${byId("edge").value}%`);
byId("edge").addEventListener("input", slide);
