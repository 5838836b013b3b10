"use strict";
// Keeps what is chosen in the browser, so that closing the page loses nothing, and saves it as CSV.
const key = `orchestra-labels-${document.body.dataset.batch}`;
const fields = [...document.querySelectorAll("fieldset")];
const nameOf = (field) => `${field.dataset.id}\n${field.dataset.field}`;
const textOf = (field) => field.querySelector("input[type=text]");
const chosen = (field) => field.querySelector("input[type=radio]:checked");
let kept = {};
try {
  kept = JSON.parse(localStorage.getItem(key) || "{}");
} catch {
  kept = {}; // a browser that keeps nothing: saving the file still works
}

function choose(field, verdict) {
  const button = [...field.querySelectorAll("input[type=radio]")].find((one) => one.value === verdict);
  if (button) button.checked = true;
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
  const now = Object.fromEntries(given.map((one) => [`${one.id}\n${one.field}`, one]));
  try {
    localStorage.setItem(key, JSON.stringify(now));
  } catch {
    // as above
  }
}

for (const field of fields) {
  const before = kept[nameOf(field)];
  if (before) textOf(field).value = before.value;
  choose(field, before ? before.verdict : field.dataset.state);
  textOf(field).addEventListener("input", () => choose(field, "corrected"));
  field.addEventListener("input", refresh);
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
