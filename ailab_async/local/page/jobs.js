/* A job: one operation on one photo, from sending it to its files. */

import { Away, make, Refusal, take } from "./api.js";
import { Trouble } from "./photo.js";

const ADVICE = {
  ERROR_NO_RECOGNITION_TARGET_DETECTED: "Choose a photo with more sky or hair in it, or let the other one move.",
  FILE_CONTENT_NON_COMPLIANCE: "Choose another photo; for erasing, paint over less of it.",
  FILE_DECODING_FAILURE: "Open the photo in another program, save it as JPEG, and choose that.",
  ERROR_LOW_RESOLUTION: "Choose a larger photo.",
  FILE_RESOLUTION_EXCEEDS_LIMITS: "Choose a smaller photo.",
  FILE_SIZE_EXCEEDS_LIMIT: "Choose a smaller photo.",
  UNSUPPORTED_FILE_TYPES: "Choose a JPEG or PNG.",
  UNSUPPORTED_PARAMETER_VALUES: "Change the option that is named, and try again.",
  ERROR_RESOURCE_NOT_FOUND: "The engine was started anew and does not know this task any more. Try again: it is made from the start.",
  ERROR_FILE_NOT_FOUND: "The engine does not have this file any more. Try again: it is made from the start.",
  ERROR_USER_NOT_EXISTS: "Try again, and give the key that the engine was started with.",
  ERROR_AI_NOT_EXISTS: "This engine does not offer the operation. Choose another one.",
  PROCESSING_FAILURE: "Try again, or with a smaller photo.",
  AI_SERVICE_TIMEOUT: "Try again with a smaller photo.",
  FILE_SERVICE_ERROR: "The engine's disk may be full. Make room, and try again.",
};
const EXTENSIONS = { "image/jpeg": "jpg", "image/png": "png", "video/mp4": "mp4", "video/x-msvideo": "avi" };
export const WAITING = new Set(["sending", "queued", "processing"]);

let number = 0;

/* Make a job; `form` returns a promise of what is sent, `changed` hears of whatever happens to it. */
export function newJob({ photo, kind, title, suffix, form, changed }) {
  number += 1;
  const job = { number, photo, kind, title, suffix, form, changed, task: {}, results: [] };
  return Object.assign(job, { state: "sending", away: "", note: "", failure: null, began: 0, ended: 0 });
}

/* Do it, or go on with it where it was left; returns when it has ended, one way or another. */
export async function run(job) {
  const stopper = new AbortController();
  const told = ({ state = job.state, away = "", seconds = 0 }) => {
    update(job, { state, away: away && `${away}. Trying again in ${Math.ceil(seconds)} s.` });
  };
  const options = { signal: stopper.signal, told };
  job.stop = () => stopper.abort();
  update(job, { state: job.task.id ? "queued" : "sending", failure: null, began: Date.now(), ended: 0 });
  try {
    const { form, change } = await job.form();
    /* these two answer with the result itself: there is nothing to be seen in between */
    const atOnce = job.kind === "erase" || job.kind === "motion";
    update(job, { note: change, state: atOnce ? "processing" : job.state });
    const addresses = await make(job.kind, form, job.task, options);
    const results = [];
    for (const address of addresses) {
      const blob = await take(address, options);
      results.push({ blob, url: URL.createObjectURL(blob), name: nameOf(job, blob, results.length, addresses.length) });
    }
    update(job, { state: "done", results, away: "", ended: Date.now() });
  } catch (error) {
    if (stopper.signal.aborted) {
      update(job, { state: "stopped", away: "", ended: Date.now() });
      return;
    }
    /* what failed is made anew the next time; without a key nobody knows how it went */
    if (error instanceof Refusal && error.code !== "ERROR_USER_NOT_EXISTS") job.task = {};
    update(job, { state: "failed", failure: failureOf(error), away: "", ended: Date.now() });
    if (![Trouble, Refusal, Away].some((kind) => error instanceof kind)) throw error; // a bug
  }
}

/* Give back what a job holds in memory; `photoToo` where no other job shows the same photo. */
export function forget(job, photoToo) {
  for (const { url } of job.results) URL.revokeObjectURL(url);
  if (photoToo) URL.revokeObjectURL(job.photo.url);
}

function update(job, values) {
  Object.assign(job, values);
  job.changed(job);
}

function failureOf(error) {
  if (error instanceof Trouble) return { code: "", text: error.message, advice: "" };
  if (error instanceof Refusal) {
    return { code: error.code, text: sentence(error.message), advice: ADVICE[error.code] ?? "Try again." };
  }
  const away = error instanceof Away;
  const advice = away ? "See that it runs (ailab serve), and try again." : "Try again, or load this page anew.";
  return { code: "", text: sentence(error.message), advice };
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

function nameOf(job, blob, at, count) {
  const stem = job.photo.name.replace(/\.[^.]*$/, "") || "photo";
  const extension = EXTENSIONS[blob.type] ?? blob.type.split("/").pop();
  return `${stem}-${job.suffix}${count > 1 ? `-${at + 1}` : ""}.${extension}`;
}
