"use strict";
// Filters, orders and searches the cards that are on the page; it fetches and stores nothing.
const list = document.getElementById("products");
const search = document.getElementById("search");
const sort = document.getElementById("sort");
const chips = [...document.querySelectorAll("[data-filter]")];
const cards = [...list.querySelectorAll(".card")].map((element, listed) => ({
  element,
  listed,
  status: element.dataset.status,
  clash: Number(element.dataset.clash) > 0,
  sure: Number(element.dataset.sure),
  cost: Number(element.dataset.cost),
  words: [...element.querySelectorAll(".find")]
    .map((part) => part.textContent.toLowerCase())
    .join("\n"),
}));
const urgency = { waiting: 0, failed: 1, review: 2, partial: 3, complete: 4, rejected: 5 };
const orders = {
  shown: () => 0,
  person: (a, b) => urgency[a.status] - urgency[b.status],
  sure: (a, b) => a.sure - b.sure,
  cost: (a, b) => b.cost - a.cost,
};
const matches = (card, filter) =>
  !filter || (filter === "clash" ? card.clash : card.status === filter);
let chosen = "";

function refresh() {
  const terms = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let visible = 0;
  for (const card of cards) {
    const found = matches(card, chosen) && terms.every((term) => card.words.includes(term));
    card.element.hidden = !found;
    visible += found;
  }
  for (const chip of chips) {
    chip.setAttribute("aria-pressed", String(chip.dataset.filter === chosen));
  }
  document.getElementById("count").textContent = `${visible} of ${cards.length} shown`;
  document.getElementById("nothing").hidden = visible > 0 || cards.length === 0;
}

for (const chip of chips) {
  const count = cards.filter((card) => matches(card, chip.dataset.filter)).length;
  chip.querySelector("b").textContent = count;
  chip.hidden = count === 0 && chip.dataset.filter !== "";
  chip.addEventListener("click", () => {
    chosen = chip.dataset.filter;
    refresh();
  });
}
search.addEventListener("input", refresh);
sort.addEventListener("change", () => {
  const ordered = [...cards].sort((a, b) => orders[sort.value](a, b) || a.listed - b.listed);
  for (const card of ordered) list.append(card.element);
});
document.getElementById("open").addEventListener("click", ({ currentTarget: button }) => {
  const open = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(open));
  button.textContent = open ? "Hide all evidence" : "Show all evidence";
  for (const part of list.querySelectorAll("details:not(.input)")) part.open = open;
});
document.addEventListener("keydown", (event) => {
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName);
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    search.focus();
  }
});
// A link to a row must work although a filter hides it.
addEventListener("hashchange", () => {
  const target = cards.find((card) => `#${card.element.id}` === location.hash);
  if (target?.element.hidden) {
    chosen = "";
    search.value = "";
    refresh();
    target.element.scrollIntoView();
  }
});
refresh();
