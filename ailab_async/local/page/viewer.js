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
  away: ["waiting", "held", (time, job) => job.away],
};
const whatIs = (results) => {
  if (results.length > 1) return `${results.length} pictures`;
  return results[0].blob.type.startsWith("video/") ? "A video" : "One picture";
};
let at = 0; // which result is shown
let shownJob = null;
let shownState = "";

export const stateOf = (job) => WORDS[job.away ? "away" : job.state];
export const spent = (job) => {
  const seconds = ((job.ended || Date.now()) - job.began) / 1000;
  return `${seconds.toFixed(seconds < 10 && job.ended ? 1 : 0)} s`;
};
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
  byId("state").className = `state ${mood}`;
  byId("state").textContent = word;
  said(text(spent(job), job), job);
  byId("note").textContent = job.note;
  if (job.failure) {
    byId("failure-text").textContent = job.failure.text;
    byId("failure-advice").textContent = job.failure.advice;
    byId("failure-code").hidden = !job.failure.code;
    byId("failure-code").replaceChildren(...job.failure.code.split(/(?<=_)/).flatMap((part) => [part, document.createElement("wbr")]));
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
  byId("photo").src = photo.url;
  byId("photo-stage").style.setProperty("--shape", photo.width / photo.height);
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
    if (video.src !== result.url) Object.assign(video, { src: result.url, poster: job.photo.url });
    video.style.setProperty("--shape", job.photo.width / job.photo.height);
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

/* Show one of the things that may stand in the well. */
export function only(id) {
  for (const other of ["drop", "photo-stage", "compare", "video"]) byId(other).hidden = other !== id;
  byId("strip").hidden = id !== "compare" || byId("strip").children.length < 2;
  if (id !== "video") byId("video").pause();
}

const slide = () => byId("compare").style.setProperty("--cut", `${byId("edge").value}%`);
byId("edge").addEventListener("input", slide);
