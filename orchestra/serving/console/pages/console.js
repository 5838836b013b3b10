// The console's page. It puts in place what the server renders, and builds no HTML of its own: what
// comes from a product is escaped by the server's templates, or set as text.
import { askKey, key, part, problem, tell } from "./server.js";
import { light } from "./run.js";
import { openJob } from "./job.js";
import { countWaiting, showWaiting } from "./waiting.js";
const $ = (id) => document.getElementById(id);
const VIEWS = ["run", "waiting", "spend"];

async function showSpend(by) {
  const place = $("spend");
  try {
    place.innerHTML = await part(`spend?by=${encodeURIComponent(by || "model")}`);
  } catch (error) {
    place.replaceChildren(problem(error));
  }
  place.querySelector("[tabindex='-1']")?.focus({ preventScroll: true });
}

// ---- which part is shown stands in the address, so that back and reload lead to it
async function show() {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const view = VIEWS.includes(name) ? name : "run";
  for (const other of VIEWS) $(other).hidden = other !== view;
  for (const link of document.querySelectorAll(".tabs a")) {
    if (link.dataset.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const about = decodeURIComponent(rest.join("/"));
  if (view === "waiting") await showWaiting(about);
  if (view === "spend") await showSpend(about);
}
addEventListener("hashchange", show);
document.addEventListener("ran", countWaiting);

// ---- what a field rests on is brought out while it has the pointer or the focus
for (const kind of ["focusin", "pointerover"]) {
  document.addEventListener(kind, (event) => {
    const row = event.target.closest(".row[tabindex]");
    const article = row?.closest("article");
    if (article) light(article, row.dataset.field);
  });
}

// ---- the key
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  $("key").close("given");
});

async function changeKey() {
  if (await askKey()) location.reload();
}

document.addEventListener("click", (event) => {
  const deed = event.target.closest("[data-do]")?.dataset.do;
  if (deed === "key") changeKey();
  else if (deed === "key-leave") $("key").close("");
  else if (deed === "key-forget") {
    key.forget();
    location.reload();
  } else if (deed === "skip") {
    event.preventDefault();
    $("content").focus();
  }
});

$("key-open").hidden = !key.get();
await openJob();
await show();
if (!location.hash.startsWith("#waiting")) countWaiting();
