"use strict";
// Filters, orders, searches and turns the pages of the products; it fetches and stores nothing.
// The rows of a small table stand in the page. Those of a large one lie in files beside it, which
// are scripts that hand over what they hold: a page that is opened from a disk may load no other.
const byId = (id) => document.getElementById(id);
const list = byId("products");
const [search, sort, reason] = ["search", "sort", "reason"].map(byId);
const chips = [...document.querySelectorAll("[data-filter]")];
const { beside, pageRows } = document.body.dataset;
const pageSize = Number(pageRows);
const state = { rows: [], found: [], chosen: "", group: "", page: 0, isOpen: false };
const urgency = { waiting: 0, failed: 0, review: 0, partial: 0, complete: 1, rejected: 2 };

// ---- words: the page is written in English
const words = JSON.parse(byId("words").content.textContent);
let language = /^zh/i.test(navigator.language) ? "zh" : "en";
const told = (key, values = {}) =>
  words[language][key].replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
const number = (value) => value.toLocaleString("en");

function translate(within) {
  for (const part of within.querySelectorAll("[data-w]")) {
    part.textContent = told(part.dataset.w, JSON.parse(part.dataset.v || "{}"));
  }
  for (const part of within.querySelectorAll("[data-a]")) {
    const [attribute, key] = part.dataset.a.split(":");
    part.setAttribute(attribute, told(key));
  }
}

function speak() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  byId("language").value = language;
  search.placeholder = told("search");
  translate(document);
}

// ---- rows: those of the page, or those of the files beside it
const waiting = new Map();
const files = new Map();
const MOST_HELD = 200; // files, of 50 cards each

async function unpacked(text) {
  const bytes = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return JSON.parse(await new Response(stream).text());
}

window.orchestraReport = (name, text) => waiting.get(name)?.(unpacked(text));

function file(name) {
  if (!files.has(name)) {
    files.set(name, new Promise((resolve, reject) => {
      const script = document.createElement("script");
      waiting.set(name, resolve);
      script.onerror = () => reject(new Error(`${name}.js cannot be read`));
      script.src = `${beside}/${name}.js`;
      script.onload = () => script.remove();
      document.head.append(script);
    }));
  }
  return files.get(name);
}

function rowsOfPage() {
  return [...list.querySelectorAll(".card")].map((element, place) => {
    const { ordinal, status, clash, fault, sure, cost, reasons, groups } = element.dataset;
    const finds = [...element.querySelectorAll(".find")].map((part) => part.textContent);
    return {
      place, element, status, ordinal: Number(ordinal), clashes: Number(clash),
      fault: Number(fault), sure: Number(sure), cost: Number(cost),
      reasons: JSON.parse(reasons), groups: groups.split(" ").filter(Boolean),
      words: finds.join("\n").toLowerCase(),
    };
  });
}

async function rowsBeside() {
  const { reasons, rows } = await file("index");
  return rows.map((row, place) => ({
    place, ordinal: row[0], status: row[3], clashes: row[4], fault: row[5], sure: row[6],
    cost: row[7], reasons: row[8].map((one) => reasons[one]), groups: row[9],
    words: `${row[1]}\n${row[2]}\n${row[10]}`.toLowerCase(),
  }));
}

async function cardOf(row) {
  if (!beside) return row.element;
  const cards = await file(`rows-${Math.floor(row.place / pageSize)}`);
  const holder = document.createElement("template");
  holder.innerHTML = cards[row.place % pageSize];
  const card = holder.content.querySelector(".card");
  if (language !== "en") translate(card); // as it is written
  return card;
}

// ---- what is looked at
const orders = {
  person: (a, b) =>
    urgency[a.status] - urgency[b.status] || b.fault - a.fault || a.ordinal - b.ordinal,
  table: (a, b) => a.ordinal - b.ordinal,
  sure: (a, b) => a.sure - b.sure || a.ordinal - b.ordinal,
  cost: (a, b) => b.cost - a.cost || a.ordinal - b.ordinal,
};

function matches(row, filter) {
  if (!filter) return true;
  if (filter === "clash") return row.clashes > 0;
  if (!filter.startsWith("kin:")) return row.status === filter;
  return row.groups.some((group) => group.startsWith(`${filter.slice(4)}:`));
}

function find() {
  const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  state.found = state.rows.filter(
    (row) =>
      matches(row, state.chosen) &&
      (!state.group || row.groups.includes(state.group)) &&
      (!reason.value || row.reasons.includes(reason.value)) &&
      terms.every((term) => row.words.includes(term)),
  );
  state.found.sort(orders[sort.value]);
  for (const chip of chips) {
    chip.setAttribute("aria-pressed", String(chip.dataset.filter === state.chosen));
  }
}

let showing = 0;

async function show(page = 0) {
  const pages = Math.max(1, Math.ceil(state.found.length / pageSize));
  state.page = Math.min(Math.max(0, page), pages - 1);
  const first = state.page * pageSize;
  const rows = state.found.slice(first, first + pageSize);
  const mine = (showing += 1);
  if (files.size > MOST_HELD) {
    for (const name of [...files.keys()]) if (name !== "index") files.delete(name);
  }
  const cards = await Promise.all(rows.map(cardOf));
  if (mine !== showing) return; // another page was asked for meanwhile
  list.replaceChildren(...cards);
  openAll(state.isOpen);
  const [from, to] = [first + 1, first + rows.length].map(number);
  const all = number(state.found.length);
  byId("count").textContent = told(rows.length ? "count" : "count_none", { from, to, rows: all });
  byId("nothing").hidden = rows.length > 0 || state.rows.length === 0;
  byId("pages").hidden = pages < 2;
  byId("page").value = state.page + 1;
  byId("page").max = pages;
  byId("of").textContent = told("page_of", { pages: number(pages) });
  byId("previous").disabled = state.page === 0;
  byId("next").disabled = state.page === pages - 1;
  list.dataset.shown = `${mine}`;
}

function refresh() {
  find();
  return show(0).catch(missing);
}

function turn(page) {
  show(page).then(() => list.scrollIntoView()).catch(missing);
}

function openAll(open) {
  for (const part of list.querySelectorAll("details:not(.input)")) {
    if (open || part.open) part.open = open;
  }
}

function missing() {
  byId("loading")?.remove();
  const note = byId("missing");
  if (note) note.hidden = false;
}

function choose(filter, group = "") {
  state.chosen = filter;
  state.group = group;
  return refresh();
}

// A link to a row must work whatever is filtered and whichever page is open.
async function goTo(hash) {
  const wanted = /^#row-(\d+)$/.exec(hash);
  if (!wanted) return;
  const isIt = (row) => row.ordinal === Number(wanted[1]);
  if (!state.found.some(isIt)) {
    search.value = reason.value = "";
    state.chosen = state.group = "";
    find();
  }
  const place = state.found.findIndex(isIt);
  if (place < 0) return;
  await show(Math.floor(place / pageSize));
  byId(`row-${wanted[1]}`)?.scrollIntoView();
}

function countChips() {
  const kinds = new Map();
  for (const row of state.rows) {
    for (const one of row.reasons) kinds.set(one, (kinds.get(one) ?? 0) + 1);
  }
  for (const chip of chips) {
    const count = state.rows.filter((row) => matches(row, chip.dataset.filter)).length;
    chip.querySelector("b").textContent = number(count);
    chip.hidden = count === 0 && chip.dataset.filter !== "";
  }
  for (const [text, count] of [...kinds].sort((a, b) => b[1] - a[1])) {
    const short = text.length > 90 ? `${text.slice(0, 90)}…` : text;
    reason.append(new Option(`${short} (${number(count)})`, text));
  }
  reason.hidden = kinds.size === 0;
}

for (const chip of chips) chip.addEventListener("click", () => choose(chip.dataset.filter));
list.addEventListener("click", ({ target }) => {
  const tag = target.closest("[data-group]");
  if (tag) choose("", state.group === tag.dataset.group ? "" : tag.dataset.group);
});
let typing = 0;
search.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(refresh, state.rows.length > 2000 ? 150 : 0);
});
for (const control of [sort, reason]) control.addEventListener("change", refresh);
byId("previous").addEventListener("click", () => turn(state.page - 1));
byId("next").addEventListener("click", () => turn(state.page + 1));
byId("page").addEventListener("change", (event) => turn(Number(event.target.value) - 1));
byId("print").addEventListener("click", () => print());
byId("language").addEventListener("change", (event) => {
  language = event.target.value;
  speak();
  show(state.page).catch(missing);
});
byId("open").addEventListener("click", ({ currentTarget: button }) => {
  state.isOpen = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(state.isOpen));
  const label = button.querySelector("[data-w]");
  label.dataset.w = state.isOpen ? "hide_all" : "show_all";
  translate(button);
  openAll(state.isOpen);
});
document.addEventListener("keydown", (event) => {
  const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  }
});
addEventListener("hashchange", () => goTo(location.hash).catch(missing));

async function start() {
  speak();
  state.rows = beside ? await rowsBeside() : rowsOfPage();
  countChips();
  find();
  await show(0);
  byId("loading")?.remove();
  await goTo(location.hash);
}

start().catch(missing);
