/* The engine's HTTP interface, the direct form, at the page's own origin. */

import { askForKey, currentKey } from "./key.js";

const QUERY = "api/common/query-async-task-result";
const PATHS = {
  color: "api/image/effects/image-hd-color-migration",
  erase: "api/image/editing/image-erase",
  motion: "api/image/effects/image-fine-tuning",
  cartoon: "api/image/effects/ai-anime-generator",
};
const WAITS = [1, 2, 4, 8, 15]; // seconds between tries while nobody answers; the last one repeats
const MOST_TRIES = 40; // ten minutes
const LOOK_SECONDS = 30;
const MADE_SECONDS = 240; // an answer that is the result itself
const FIRST_LOOK = 0.25;
const SLOWER = 1.35;
const SLOWEST = 3;

/* What the engine said no with, in its own words. */
export class Refusal extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/* Nobody answered, or somebody who is not the engine. */
export class Away extends Error {
  constructor(message, seconds = 0) {
    super(message);
    this.seconds = seconds;
  }
}

/* Submit a form; return the addresses of its results, waited for as long as it takes.
   `task.id` is set as soon as there is one, and with it nothing is submitted again.
   `told` hears of {state} and of {away: seconds}, the time until the next try. */
export async function make(kind, form, task, { signal, told }) {
  const options = { signal, told };
  if (!task.id) {
    const asked = { method: "POST", body: form };
    const answer = await patiently(PATHS[kind], asked, { ...options, seconds: MADE_SECONDS });
    if (!answer.task_id) return addresses(answer.data);
    task.id = answer.task_id;
  }
  const asked = `${QUERY}?${new URLSearchParams({ task_id: task.id })}`;
  for (let pause = FIRST_LOOK; ; pause = Math.min(SLOWEST, pause * SLOWER)) {
    const answer = await patiently(asked, {}, options);
    const status = Number(answer.task_status);
    if (status === 2) return addresses(answer.data);
    told({ state: status === 1 ? "processing" : "queued" });
    await sleep(pause, signal);
  }
}

/* Return a result file as a blob: what is in memory outlives the engine. */
export async function take(address, { signal, told }) {
  return patiently(address, {}, { signal, told, read: (answer) => answer.blob() });
}

const addresses = (data) =>
  [data.image_list ?? data.image_url ?? data.url ?? data.result_url]
    .flat()
    .map((address) => new URL(address, location.href))
    /* the engine goes by the name that it was called by, which a proxy may have changed */
    .map((address) => address.pathname + address.search);

/* Ask until there is an answer: again when nobody answers, and when a key is wanted. */
async function patiently(path, asked, options) {
  const { signal, told } = options;
  for (let tries = 0; ; ) {
    const key = currentKey();
    try {
      return await ask(path, asked, key, options);
    } catch (error) {
      if (error instanceof Refusal && error.code === "ERROR_USER_NOT_EXISTS") {
        if (!(await askForKey(key))) throw error;
      } else if (error instanceof Away && tries < MOST_TRIES) {
        const seconds = error.seconds || WAITS[Math.min(tries, WAITS.length - 1)];
        tries += 1;
        for (let left = seconds; left > 0; left -= 1) {
          told({ away: error.message, seconds: left });
          await sleep(Math.min(1, left), signal);
        }
      } else throw error;
    }
  }
}

async function ask(path, asked, key, { signal, seconds = LOOK_SECONDS, read }) {
  const headers = key ? { "ailabapi-api-key": key } : {};
  const limited = AbortSignal.any([signal, AbortSignal.timeout(seconds * 1000)]);
  let answer;
  let body;
  try {
    answer = await fetch(path, { ...asked, headers, signal: limited, cache: "no-store" });
    if (answer.ok && read) return await read(answer);
    body = await answer.json();
  } catch {
    signal.throwIfAborted();
    throw new Away("The engine does not answer");
  }
  if (answer.ok && !body.error_code) return body;
  const detail = body.error_detail ?? {};
  const code = detail.code || body.error_code_str || `HTTP ${answer.status}`;
  const message = detail.message || body.error_msg || body.message || answer.statusText;
  if (code === "ERROR_RESOURCE_UNAVAILABLE") throw new Away("The engine is stopping or starting");
  if (code === "AI_SERVICE_FLOW_RESTRICTION") {
    throw new Away("The engine is busy", Number(answer.headers.get("retry-after")) || 0);
  }
  throw new Refusal(code, message);
}

function sleep(seconds, signal) {
  return new Promise((done, stopped) => {
    const stop = () => {
      clearTimeout(timer);
      stopped(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      done();
    }, seconds * 1000);
    signal.addEventListener("abort", stop, { once: true });
  });
}
