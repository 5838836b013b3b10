// Runs that wait for a person: their list, one of them, and its answer.
import { ask, part, problem, say, tell } from "./server.js";
import { Nodes, Run, light } from "./run.js";
const $ = (id) => document.getElementById(id);

/** How many wait, beside the tab. */
function count(number) {
  const badge = $("waiting-count");
  badge.textContent = number;
  badge.hidden = !number;
}

/** Count the runs that wait, without showing them. */
export async function countWaiting() {
  try {
    const { data } = await (await ask("/v1/threads")).json();
    count(data.filter((thread) => thread.status !== "running").length);
  } catch {
    count(0); // the tab itself tells why, where it is opened
  }
}

/** Show the list, or the run with this id. */
export async function showWaiting(id) {
  const place = $("waiting");
  try {
    place.innerHTML = await part(id ? `waiting/${encodeURIComponent(id)}` : "waiting");
  } catch (error) {
    place.replaceChildren(problem(error));
    return;
  }
  const all = place.querySelector("[data-count]");
  if (all) count(Number(all.dataset.count));
  const article = place.querySelector("article");
  if (article) light(article, article.dataset.lit);
  new Nodes(place).reset();
  $("answer")?.addEventListener("submit", (event) => {
    event.preventDefault();
    answer(event.target);
  });
  place.querySelector("[tabindex='-1']")?.focus({ preventScroll: true });
}

function given(form) {
  const boxes = [...form.querySelectorAll("[data-question]")];
  if (!boxes.length) return {};
  const isJson = form.elements.json.checked;
  const answers = {};
  for (const box of boxes) {
    if (!box.value.trim()) {
      box.focus();
      throw new Error(say("answer_missing"));
    }
    answers[box.dataset.question] = isJson ? parsed(box.value) : box.value;
  }
  return { answers };
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(say("json_wrong", { problem: error.message }));
  }
}

async function answer(form) {
  let body;
  try {
    body = given(form);
  } catch (error) {
    return tell(error.message, { isBad: true });
  }
  const place = $("waiting");
  const known = new Map();
  for (const image of place.querySelectorAll("[data-photo] img")) {
    known.set(image.closest("[data-photo]").dataset.photo, image.src);
  }
  const run = new Run(place.querySelector(".stage"), $("answer-here"));
  form.inert = true;
  const path = `/v1/threads/${encodeURIComponent(form.dataset.thread)}/answer`;
  const result = await run.go((signal) => ask(path, { body: { ...body, stream: true }, signal }), {
    text: form.dataset.text,
    known,
  });
  if (result === null) form.inert = false;
  else form.remove();
  countWaiting();
}
