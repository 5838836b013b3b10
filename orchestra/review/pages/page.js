"use strict";
// Moves through the queue, sends what is decided, and puts in place what the server answers. It
// builds no HTML of its own: what comes from a product is escaped by the server's templates.
const base = document.body.dataset.base;
const $ = (id) => document.getElementById(id);
const said = $("said");
let query = location.search;

let quiet = 0;
function say(text, isBad = false) {
  said.textContent = text || "";
  said.classList.toggle("bad", isBad);
  clearTimeout(quiet);
  if (!isBad) quiet = setTimeout(() => (said.textContent = ""), 6000);
}

async function post(path, body) {
  try {
    const answer = await fetch(`${base}/${path}${query}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const told = await answer.json();
    if (answer.ok) return told;
    say(told.error.message, true);
  } catch {
    say(document.body.dataset.lost, true);
  }
  return null;
}

// ---- fields and focus
const items = () => [...document.querySelectorAll(".item")].filter((one) => one.checkVisibility());
const current = () => document.activeElement?.closest?.(".item");
const cardOf = (element) => element?.closest(".card");

function go(item) {
  if (!item) return;
  item.focus({ preventScroll: true });
  item.scrollIntoView({ block: "nearest" });
}

function move(step) {
  const all = items();
  const at = all.indexOf(current());
  go(at < 0 ? all[0] : all[at + step]);
}

function moveCard(step) {
  const cards = [...document.querySelectorAll(".card")];
  const at = cards.indexOf(cardOf(document.activeElement));
  const card = cards[at < 0 ? 0 : at + step];
  go(card?.querySelector(".item"));
  card?.scrollIntoView({ block: "start" });
}

// The next field that is asked about; after the last of the page, the way to the next page.
const isAsked = (item) =>
  item.dataset.state === "open" && (!item.closest(".rest") || item.matches(".stale, .conflict"));
function goOn(item) {
  const all = items();
  const next = all.slice(all.indexOf(item) + 1).find(isAsked);
  if (next) go(next);
  else document.querySelector(".pager [rel=next]")?.focus();
}

// What a field rests on is brought out in text and photo while it has the focus.
function light(item) {
  const card = cardOf(item);
  if (!card) return;
  for (const part of card.querySelectorAll("[data-for]")) {
    part.classList.toggle("on", part.dataset.for.split(" ").includes(item.dataset.field));
  }
  const text = card.querySelector(".read");
  const mark = text?.querySelector("mark.on");
  if (mark) text.scrollTop = mark.offsetTop - text.offsetTop - text.clientHeight / 2;
}

// ---- decisions
function put(told) {
  const wasAt = current()?.id;
  for (const [id, html] of Object.entries(told.items || {})) {
    const old = $(id);
    if (!old) continue;
    const holder = document.createElement("template");
    holder.innerHTML = html;
    const item = holder.content.firstElementChild;
    old.replaceWith(item);
    const isRaised = item.matches(".open.stale, .open.conflict") && !old.matches(".stale, .conflict");
    if (isRaised && item.closest("details")) item.closest("details").open = true;
  }
  if (told.work && $("work")) {
    shows += 1; // what was asked for before is of no use any more
    $("work").innerHTML = told.work;
    ready();
    $("queue").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  if (told.progress) $("progress").innerHTML = told.progress;
  say(told.said);
  return wasAt;
}

async function decide(item, action, value = "", why = "") {
  const told = await post("decide", {
    row: item.dataset.row, field: item.dataset.field, action, value, why,
  });
  if (!told) return;
  put(told);
  goOn($(item.id));
}

async function decideRow(card, action) {
  const told = card && (await post("row", { row: card.dataset.row, action }));
  if (!told) return;
  put(told);
  const last = [...card.querySelectorAll(".item")].filter((one) => one.checkVisibility()).pop();
  if (last) goOn(last);
}

async function undo(body) {
  const told = await post("undo", body);
  if (!told) return;
  const ids = Object.keys(told.items || {});
  put(told);
  go(ids.map($).find(Boolean));
}

const undoOf = (item) =>
  item.dataset.decision ? undo({ id: Number(item.dataset.decision) }) : undefined;

// ---- editing in place
function edit(item) {
  if (!item.dataset.field || item.querySelector(".editor")) return;
  const form = $("editor").content.firstElementChild.cloneNode(true);
  const label = form.querySelector("label");
  let box = form.querySelector("textarea");
  if (!("long" in item.dataset)) {
    const line = $("editor-line").content.firstElementChild.cloneNode(true);
    if ($(`words-${item.dataset.field}`)) line.setAttribute("list", `words-${item.dataset.field}`);
    box.replaceWith(line);
    box = line;
  } else {
    box.rows = Math.min(10, 2 + Math.floor(item.dataset.raw.length / 70));
  }
  label.querySelector(".vh").textContent = item.dataset.field;
  box.value = item.dataset.raw;
  const save = () => decide(item, "edit", box.value, form.elements.why.value);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") leave(item);
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save();
    else return;
    event.preventDefault();
  });
  item.append(form);
  box.focus();
  box.select();
}

function leave(item) {
  item.querySelector(".editor")?.remove();
  go(item);
}

// ---- the queue: filters, pages and groups change the address, and this part of the page
let shows = 0;
async function show(address, { isBack = false, focus = "" } = {}) {
  const search = new URL(address, location.href).search;
  const own = ++shows;
  try {
    const answer = await fetch(`${base}/work${search}`);
    if (!answer.ok) throw new Error();
    const html = await answer.text();
    if (own !== shows) return; // something else was asked for since
    $("work").innerHTML = html;
  } catch {
    say(document.body.dataset.lost, true);
    return;
  }
  query = search;
  if (!isBack) history.pushState(null, "", `${base}/${search}`);
  ready();
  if (focus === "search") {
    const box = $("search");
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  } else {
    $("queue").focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  say($("count").textContent);
}

const wide = matchMedia("(min-width: 901px)");
function ready() {
  const filters = document.querySelector(".filters > details");
  if (filters) filters.open = wide.matches;
  for (const card of document.querySelectorAll(".card")) {
    const first = card.querySelector(".item");
    if (first) light(first);
  }
}
wide.addEventListener("change", ready);

function asked(form) {
  const told = new URLSearchParams(new FormData(form));
  for (const [name, value] of [...told]) if (!value) told.delete(name);
  return `?${told}`;
}

// ---- bulk actions
let bulk = null;
async function preview(deed, address, value = "") {
  for (const menu of document.querySelectorAll(".menu[open]")) menu.open = false;
  bulk = { query: Object.fromEntries(new URLSearchParams(address)), deed, value };
  const told = await post("preview", bulk);
  if (told) openPreview(told.preview);
}

function openPreview(html) {
  const dialog = $("preview");
  dialog.innerHTML = html;
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector("form .main") || dialog.querySelector("button")).focus();
}

async function confirmBulk(form) {
  const { group, expected } = form.dataset;
  const why = form.elements.why?.value || "";
  const told = await post("bulk", { ...bulk, why, group, expected: Number(expected) });
  if (!told) return;
  if (told.preview) return openPreview(told.preview);
  $("preview").close();
  put(told);
}

// ---- what is pressed
const DEEDS = {
  approve: (item) => decide(item, "approve"),
  reject: (item) => decide(item, "reject"),
  skip: (item) => decide(item, "skip"),
  edit,
  leave,
  undo: undoOf,
};

document.addEventListener("click", (event) => {
  const link = event.target.closest("#work a[href]:not([download])");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) {
    event.preventDefault();
    show(link.href);
    return;
  }
  const button = event.target.closest("[data-do]");
  if (!button) return;
  const deed = button.dataset.do;
  const item = button.closest(".item");
  if (item && deed === "take") take(item, button);
  else if (item && DEEDS[deed]) DEEDS[deed](item);
  else if (deed === "row") decideRow(cardOf(button), button.dataset.action);
  else if (deed === "undo-last") undo({});
  else if (deed === "undo-entry") undoEntry(button.dataset);
  else if (deed === "help") $("help").showModal();
  else if (deed === "close") $("preview").close();
  else if (deed === "bulk") preview(button.dataset.deed, button.closest(".bulk").dataset.query);
});

function take(item, side) {
  const isOwn = side.getAttribute("aria-pressed") === "true";
  return isOwn ? decide(item, "approve") : decide(item, "edit", side.dataset.value);
}

async function undoEntry({ group, id }) {
  const told = await post("undo", group ? { group } : { id: Number(id) });
  if (told) location.reload();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches(".ask")) {
    event.preventDefault();
    show(asked(form), { focus: "search" });
  } else if (form.matches(".menu form")) {
    event.preventDefault();
    preview("edit", form.closest(".bulk").dataset.query, form.elements.value.value);
  } else if (form.closest("#preview")) {
    event.preventDefault();
    confirmBulk(form);
  }
});

let typing = 0;
document.addEventListener("input", (event) => {
  const form = event.target.closest(".ask");
  if (!form) return;
  clearTimeout(typing);
  const isText = event.target.type === "search";
  typing = setTimeout(() => show(asked(form), isText ? { focus: "search" } : {}), isText ? 250 : 0);
});

document.addEventListener("focusin", (event) => {
  const item = event.target.closest(".item");
  if (item) light(item);
});
addEventListener("popstate", () => show(location.href, { isBack: true }));

// ---- keys
const KEYS_KEPT = "orchestra-review-keys";
const keysOn = $("keys-on");
if (keysOn) {
  keysOn.checked = localStorage.getItem(KEYS_KEPT) !== "off";
  keysOn.addEventListener("change", () => {
    localStorage.setItem(KEYS_KEPT, keysOn.checked ? "on" : "off");
  });
}

const ANYWHERE = {
  j: () => move(1),
  ArrowDown: () => move(1),
  k: () => move(-1),
  ArrowUp: () => move(-1),
  n: () => moveCard(1),
  p: () => moveCard(-1),
  z: () => undo({}),
  "/": () => $("search").focus(),
  ".": () => document.querySelector(".pager [rel=next]")?.click(),
  "?": () => $("help").showModal(),
};
const ON_ITEM = {
  a: DEEDS.approve,
  e: edit,
  r: DEEDS.reject,
  s: DEEDS.skip,
  u: undoOf,
  A: (item) => decideRow(cardOf(item), "approve"),
  R: (item) => decideRow(cardOf(item), "reject"),
  1: (item) => side(item, 0),
  2: (item) => side(item, 1),
};

function side(item, number) {
  const button = item.querySelectorAll(".side")[number];
  if (button) take(item, button);
}

document.addEventListener("keydown", (event) => {
  if (!keysOn?.checked || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) {
    return;
  }
  const item = current();
  const isArrow = event.key.startsWith("Arrow");
  if (isArrow && !item) return; // the arrows scroll until a field has the focus
  if (item && ON_ITEM[event.key]) ON_ITEM[event.key](item);
  else if (ANYWHERE[event.key]) ANYWHERE[event.key]();
  else return;
  event.preventDefault();
});

if ($("work")) ready();
