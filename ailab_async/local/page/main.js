/* The page as a whole: one photo, one shown job, and what the buttons do. */

import { forget, newJob, run, WAITING } from "./jobs.js";
import { kindNow, order, ready, takeReference } from "./options.js";
import { onPainted, paintOn, share } from "./paint.js";
import { opener, Trouble } from "./photo.js";
import { card, drop, mark } from "./session.js";
import { only, resultShown, showPhoto, showResult, stateOf, tell } from "./viewer.js";

const byId = (id) => document.getElementById(id);
const MOST_JOBS = 24; // with their pictures in memory
const TITLE = document.title;
const open = opener();
let photo = null;
let job = null; // the one that is shown
let jobs = [];
let result = false; // whether its result is shown, not the photo
let shown = null; // the job whose result was put there last

async function take(file) {
  if (!file) return;
  let opened;
  try {
    opened = await open(file);
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    complain(error.message);
    return;
  }
  if (!opened) return;
  complain("");
  leave();
  const chosenHere = document.activeElement === byId("file");
  photo = opened;
  job = null;
  show(false);
  if (chosenHere) byId("panel").querySelector("[name=kind]:checked").focus({ preventScroll: true });
}

/* Give a photo back that no job shows. */
function leave() {
  if (photo && !jobs.some((other) => other.photo === photo)) URL.revokeObjectURL(photo.url);
}

/* Say what is wrong with a file, or with an empty text that nothing is any more. */
function complain(text, mood = "bad") {
  byId("trouble").className = `words ${mood}`;
  byId("trouble").textContent = text;
  byId("trouble").hidden = !text;
}

/* Bring everything up to date; `wanted` says whether a result is to be seen. */
function show(wanted = result) {
  result = wanted && Boolean(job?.results.length);
  mark(job);
  byId("name").textContent = photo ? photo.name : "No photo yet";
  byId("shape").textContent = photo ? `${photo.width} × ${photo.height}` : "";
  byId("other").hidden = !photo;
  byId("views").hidden = !job?.results.length;
  byId("view-photo").setAttribute("aria-pressed", String(!result));
  byId("view-result").setAttribute("aria-pressed", String(result));
  const painting = Boolean(photo) && !result && kindNow() === "erase";
  byId("paint").hidden = byId("mask").hidden = !painting;
  if (!photo) only("drop");
  else if (!result) showPhoto(photo);
  else if (shown !== job) showResult(job);
  shown = result ? job : null;
  if (painting) paintOn(photo);
  offer();
  report();
}

/* A job that is done is spoken of where its result is seen; the title is for who looks elsewhere. */
function report() {
  tell(result || job?.state !== "done" ? job : null);
  document.title = job ? `${stateOf(job)[0]} · ${job.photo.name} · ${TITLE}` : TITLE;
}

/* Say what the large button would do. */
function offer() {
  const missing = photo ? ready() || (kindNow() === "erase" && !share(photo.mask) ? "Paint what is to go first" : "") : "Choose a photo first";
  const words = { color: "Recolour", erase: "Erase", motion: "Make it move", cartoon: "Draw it" };
  byId("run").disabled = Boolean(missing);
  byId("run").textContent = missing || words[kindNow()];
  byId("sent-as").textContent = photo && result && kindNow() === "erase" ? "Show the photo to paint more of it." : "";
}

function begin() {
  const made = newJob({ photo, ...order(photo), changed });
  jobs.push(made);
  job = made;
  result = false;
  while (jobs.length > MOST_JOBS && !WAITING.has(jobs[0].state)) {
    const old = jobs.shift();
    drop(old);
    forget(old, old.photo !== photo && !jobs.some((other) => other.photo === old.photo));
  }
  complain("");
  run(made);
  show(false);
  toTheTop();
}

function changed(which) {
  card(which, choose);
  if (which !== job) return;
  if (which.state === "done") show(true);
  else report();
}

function choose(which) {
  leave();
  job = which;
  photo = which.photo;
  show(true);
  toTheTop();
}

/* On a phone the buttons are far below the photo. */
const toTheTop = () => byId("name").scrollIntoView({ block: "nearest" });

/* --- photos come in ---------------------------------------------------------------------------- */

const picked = (input, taken) => {
  input.addEventListener("change", () => {
    const [file] = input.files;
    input.value = ""; // the same file may be chosen again
    taken(file);
  });
};
async function reference(file) {
  if (!file) return;
  try {
    await takeReference(file);
    complain("");
  } catch (error) {
    if (!(error instanceof Trouble)) throw error;
    complain(error.message);
  }
}
picked(byId("file"), take);
picked(byId("ref"), reference);
byId("other").addEventListener("click", () => byId("file").click());

const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
const onReference = (event) => byId("ref-drop").contains(event.target);
const lit = (event, on) => {
  byId("well").classList.toggle("over", on && !onReference(event));
  byId("ref-drop").classList.toggle("over", on && onReference(event));
};
document.addEventListener("dragover", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  lit(event, true);
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) lit(event, false);
});
document.addEventListener("drop", (event) => {
  if (!carriesFiles(event)) return;
  event.preventDefault();
  lit(event, false);
  takeFirst(event.dataTransfer.files, onReference(event) ? reference : take);
});
document.addEventListener("paste", (event) => takeFirst(event.clipboardData?.files ?? [], take));

async function takeFirst([file, ...more], taken) {
  await taken(file);
  if (more.length && byId("trouble").hidden) complain(`One photo at a time: only ${file.name} was taken.`, "held");
}

/* --- the buttons ------------------------------------------------------------------------------- */

byId("panel").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!byId("run").disabled) begin();
});
/* one task, however often the button is clicked at a time, or how long Enter is held */
byId("run").addEventListener("click", (event) => {
  if (event.detail > 1) event.preventDefault();
});
byId("panel").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.repeat) event.preventDefault();
});
byId("panel").addEventListener("change", (event) => {
  if (event.target.name !== "kind") return offer();
  show(kindNow() === "erase" ? false : result); // to paint, the photo must be seen
});
byId("view-photo").addEventListener("click", () => show(false));
byId("view-result").addEventListener("click", () => show(true));
byId("stop").addEventListener("click", () => job.stop());
byId("again").addEventListener("click", () => {
  if (!WAITING.has(job.state)) run(job);
});
byId("go-on").addEventListener("click", () => {
  const { blob, name } = resultShown();
  take(new File([blob], name, { type: blob.type }));
});
byId("download-all").addEventListener("click", () => {
  for (const { url, name } of job.results) {
    Object.assign(document.createElement("a"), { href: url, download: name }).click();
  }
});

onPainted((said) => {
  const painted = share(photo.mask);
  const many = painted > 0.25 ? ", which is much" : "";
  byId("share").textContent = painted ? `${painted < 0.01 ? "less than 1" : Math.round(painted * 100)} % of the photo${many}` : "nothing yet";
  if (said) byId("status").textContent = said;
  offer();
});
/* what is still waited for would be lost with the window */
addEventListener("beforeunload", (event) => {
  if (jobs.some(({ state }) => WAITING.has(state))) event.preventDefault();
});
setInterval(() => {
  if (job && WAITING.has(job.state)) report();
}, 1000);
show();
