"use strict";
// Keeps what is chosen in the browser, so that closing the page loses nothing, and saves it as CSV.
// Every question can be answered from the keyboard: a digit answers, and goes on to the next one.
const key = `orchestra-labels-${document.body.dataset.batch}`;
const fields = [...document.querySelectorAll("fieldset")];
const nameOf = (field) => `${field.dataset.id}\n${field.dataset.field}`;
const textOf = (field) => field.querySelector("input[type=text]");
const chosen = (field) => field.querySelector("input[type=radio]:checked");
const KEYS = { 1: "accepted", 2: "corrected", 3: "nothing", 4: "skipped" };
let kept = {};
try {
  kept = JSON.parse(localStorage.getItem(key) || "{}");
} catch {
  kept = {}; // a browser that keeps nothing: saving the file still works
}

function choose(field, verdict) {
  const button = [...field.querySelectorAll("input[type=radio]")].find((one) => one.value === verdict);
  if (button) button.checked = true;
  return button;
}

function answers() {
  return fields.flatMap((field) => {
    const verdict = chosen(field)?.value;
    const value = verdict === "corrected" ? textOf(field).value.trim() : "";
    if (!verdict || (verdict === "corrected" && !value)) return [];
    return [{ id: field.dataset.id, field: field.dataset.field, verdict, value }];
  });
}

function refresh() {
  const given = answers();
  document.getElementById("count").textContent = `${given.length} of ${fields.length} answered`;
  document.getElementById("done").value = fields.length ? given.length / fields.length : 1;
  const now = Object.fromEntries(given.map((one) => [`${one.id}\n${one.field}`, one]));
  try {
    localStorage.setItem(key, JSON.stringify(now));
  } catch {
    // as above
  }
}

function go(field) {
  if (!field) return;
  (chosen(field) || field.querySelector("input[type=radio]")).focus();
  field.scrollIntoView({ block: "nearest" });
}

const after = (field, step = 1) => fields[fields.indexOf(field) + step];

function answer(field, verdict) {
  if (!choose(field, verdict)) return;
  refresh();
  if (verdict === "corrected") textOf(field).select();
  else go(after(field));
}

function acceptRow(article) {
  const all = [...article.querySelectorAll("fieldset")];
  for (const field of all) if (!chosen(field)) choose(field, "accepted");
  refresh();
  go(after(all[all.length - 1]));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const field = document.activeElement?.closest?.("fieldset");
  const isWriting = document.activeElement?.type === "text";
  if (event.key === "Enter" && isWriting) {
    go(after(field)); // the value is in place; Enter ends it
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (isWriting && document.activeElement.list) return; // the arrows choose among known values
    go(field ? after(field, event.key === "ArrowDown" ? 1 : -1) : fields[0]);
  } else if (isWriting) {
    return;
  } else if (KEYS[event.key]) {
    answer(field || fields.find((one) => !chosen(one)) || fields[0], KEYS[event.key]);
  } else if (event.key === "a" && field) {
    acceptRow(field.closest("article"));
  } else {
    return;
  }
  event.preventDefault();
});

for (const field of fields) {
  const before = kept[nameOf(field)];
  if (before) textOf(field).value = before.value;
  choose(field, before ? before.verdict : field.dataset.state);
  textOf(field).addEventListener("input", () => choose(field, "corrected"));
  field.addEventListener("input", refresh);
}
for (const button of document.querySelectorAll("button.all")) {
  button.addEventListener("click", () => acceptRow(button.closest("article")));
}

const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
document.getElementById("save").addEventListener("click", () => {
  const lines = answers().map((one) => [one.id, one.field, one.verdict, one.value].map(quoted).join(","));
  const text = ["id,field,verdict,value", ...lines].join("\r\n") + "\r\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = "labels.csv";
  link.click();
  URL.revokeObjectURL(link.href);
});
refresh();
