// What is asked of the server: with the key that the tab holds, and errors as the server words them.
const { root, language, words } = document.body.dataset;
const WORDS = JSON.parse(words);
const KEY = "orchestra-console-key";
const $ = (id) => document.getElementById(id);

/** The words under `key`, with `values` put in. */
export function say(key, values = {}) {
  return WORDS[key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** An error of the server: its name, its message with the cure, and when to come again. */
export class Refused extends Error {
  constructor(code, message, status = 0, after = null) {
    super(after ? `${message} ${say("try_again", { seconds: after })}` : message);
    this.code = code;
    this.status = status;
  }
}

const reason = async (answer) => {
  const told = await answer.json().catch(() => null);
  const { code = `HTTP ${answer.status}`, message = answer.statusText } = told?.error ?? {};
  return new Refused(code, message, answer.status, answer.headers.get("retry-after"));
};

// ---- the key: asked for when the server wants one, and kept in this tab alone
export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

let asking = null;
/** Ask for a key; whether one was given. Of several who ask at once all wait for the same one. */
export function askKey(problem = "") {
  asking ??= new Promise((done) => {
    const [dialog, box, told] = [$("key"), $("key-box"), $("key-problem")];
    told.textContent = problem;
    told.hidden = !problem;
    box.value = "";
    $("key-open").hidden = false;
    dialog.returnValue = "";
    dialog.addEventListener(
      "close",
      () => {
        asking = null;
        const given = dialog.returnValue === "given";
        if (given) key.set(box.value.trim());
        box.value = "";
        done(given);
      },
      { once: true },
    );
    dialog.showModal();
    box.focus();
  });
  return asking;
}

/** The server's answer to a request. Throws `Refused`; a key is asked for where one is wanted. */
export async function ask(path, { body, signal } = {}) {
  for (;;) {
    const headers = body === undefined ? {} : { "content-type": "application/json" };
    const held = key.get();
    if (held) headers.authorization = `Bearer ${held}`;
    let answer;
    try {
      answer = await fetch(root + path, {
        method: body === undefined ? "GET" : "POST",
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal,
        credentials: "omit",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("", say("lost"));
    }
    if (answer.ok) return answer;
    const why = await reason(answer);
    if (answer.status !== 401) throw why;
    if (key.get() === held) key.forget();
    if (!(await askKey(held ? why.message : ""))) throw why;
  }
}

/** A part of the page, rendered by the server. */
export async function part(path, options) {
  const join = path.includes("?") ? "&" : "?";
  const answer = await ask(`/v1/console/${path}${join}lang=${language}`, options);
  return answer.text();
}

/** Server-sent events of an answer, each as [mode, data]. Throws `Refused` for one that breaks. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    let read;
    try {
      read = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refused("", say("broken"));
    }
    if (read.done) return;
    const blocks = (held + read.value).split("\n\n");
    held = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      const mode = lines.find((line) => line.startsWith("event: "))?.slice(7);
      const data = lines.find((line) => line.startsWith("data: "))?.slice(6);
      if (mode && data) yield [mode, JSON.parse(data)];
    }
  }
}

/** What a person sees of an error. */
export function problem(error) {
  const shown = $("problem").content.firstElementChild.cloneNode(true);
  shown.querySelector("b").textContent = error.code ?? error.name;
  shown.querySelector("span").textContent = error.message;
  return shown;
}

let quiet = 0;
/** Say something in passing: to all, or, where it is seen anyway, to screen readers alone. */
export function tell(text, { isBad = false, isSeen = false } = {}) {
  const said = $("said");
  said.textContent = text;
  said.classList.toggle("bad", isBad);
  said.classList.toggle("vh", isSeen);
  clearTimeout(quiet);
  quiet = setTimeout(() => (said.textContent = ""), 6000);
}

/** Dollars as the server writes them, small ones to the micro-dollar. */
export function dollars(usd) {
  if (usd === 0) return "$0";
  if (usd < 1e-6) return "< $0.000001";
  if (usd >= 1) return `$${usd.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
  return `$${usd.toFixed(6).replace(/0+$/, "")}`;
}
