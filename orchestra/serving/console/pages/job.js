// The job that is being made: photos, text, graph and budget; planned as it is written.
import { ask, part, problem, say, tell } from "./server.js";
import { Run } from "./run.js";
const $ = (id) => document.getElementById(id);
const PLAN_AFTER_MS = 300;

let photos = []; // {file, address, isSeen}
let run = null;
let isPlanned = false;

// ---- photos
function add(files) {
  const found = [...files].filter((file) => file.type.startsWith("image/") || /\.hei[cf]$/i.test(file.name));
  for (const file of found) photos.push({ file, address: URL.createObjectURL(file), isSeen: true });
  if (found.length) showPhotos();
}

function showPhotos() {
  const shown = photos.map((photo, at) => {
    const item = $("thumb").content.firstElementChild.cloneNode(true);
    const image = item.querySelector("img");
    image.alt = say("photo_of", { at: at + 1 });
    image.addEventListener("error", () => {
      photo.isSeen = false; // a kind of photo that the server reads and this browser does not
      image.remove();
      item.querySelector(".thumb .quiet").textContent = `${photo.file.name} (${say("no_preview")})`;
    });
    image.src = photo.address;
    const button = item.querySelector("button");
    button.setAttribute("aria-label", say("remove", { name: photo.file.name }));
    button.addEventListener("click", () => {
      photos = photos.filter((other) => other !== photo);
      URL.revokeObjectURL(photo.address);
      showPhotos();
      $("photos").focus();
    });
    return item;
  });
  $("thumbs").replaceChildren(...shown);
  $("drop").classList.toggle("full", photos.length > 0);
  $("pick-words").textContent = say(photos.length ? "drop_more" : "drop");
  planSoon();
}

const read = (file) =>
  new Promise((done, fail) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => {
      // Some systems know no type of a photo; the server looks at the bytes anyway.
      const data = reader.result.slice(reader.result.indexOf(","));
      done(`data:${file.type || "image/heic"};base64${data}`);
    });
    reader.addEventListener("error", () => fail(reader.error));
    reader.readAsDataURL(file);
  });

// ---- the job as the server takes it
function tags() {
  const found = {};
  for (const tag of $("tags").value.split(/[,，]/)) {
    if (!tag.trim()) continue;
    const [name, ...rest] = tag.split("=");
    if (!rest.length) throw new Error(say("tags_wrong", { tag: tag.trim() }));
    found[name.trim()] = rest.join("=").trim();
  }
  return found;
}

function job() {
  const budget = {};
  for (const name of ["cost_usd", "latency_ms", "tokens"]) {
    const given = $(name).value.trim();
    if (given) budget[name] = name === "cost_usd" ? given : Number(given);
  }
  return {
    text: $("text").value.trim() ? $("text").value : null,
    graph: $("graph").value || null,
    budget,
    language: $("language").value,
    data: $("local").checked ? "local" : "any",
    cache: !$("uncached").checked,
    tags: tags(),
  };
}

const hasJob = () => photos.length > 0 || $("text").value.trim() !== "";

// ---- the plan, made anew whenever the job changes
let timer = 0;
let asked = 0;
function planSoon() {
  clearTimeout(timer);
  timer = setTimeout(plan, PLAN_AFTER_MS);
}

async function plan() {
  if (run) return;
  const own = ++asked;
  isPlanned = false;
  ready();
  if (!hasJob()) return;
  $("plan").setAttribute("aria-busy", "true");
  try {
    // The plan only counts the photos, so they are not sent for it.
    const body = { ...job(), cache: false, images: photos.map((_, at) => `photo ${at + 1}`) };
    const html = await part("plan", { body });
    if (own !== asked) return;
    $("plan").innerHTML = html;
    isPlanned = true;
  } catch (error) {
    if (own !== asked) return;
    $("plan").replaceChildren(problem(error));
  } finally {
    if (own === asked) $("plan").removeAttribute("aria-busy");
  }
  ready();
}

function ready() {
  const figures = isPlanned ? $("plan").querySelector(".figures") : null;
  $("go").disabled = !isPlanned;
  $("go").textContent = figures ? say("go_at_most", { cost: figures.dataset.cost }) : say("go");
}

// ---- the run
async function go() {
  if (!isPlanned || run) return;
  let body;
  try {
    body = { ...job(), images: await Promise.all(photos.map((one) => read(one.file))) };
  } catch (error) {
    return tell(error.message, { isBad: true });
  }
  run = new Run($("stage"), $("run-here"));
  $("job").inert = true;
  $("job").classList.add("away");
  $("stage").classList.add("on");
  const own = photos;
  $("run-here").scrollIntoView({ block: "nearest" });
  await run.go((signal) => ask("/v1/jobs", { body: { ...body, stream: true }, signal }), {
    text: body.text ?? "",
    photos: own,
  });
  run = null;
  $("job").inert = false;
  $("job").classList.remove("away");
  $("again").hidden = false;
  document.dispatchEvent(new Event("ran"));
}

function again() {
  for (const photo of photos) URL.revokeObjectURL(photo.address);
  photos = [];
  $("text").value = "";
  $("run-here").replaceChildren();
  $("again").hidden = true;
  $("plan").innerHTML = "";
  showPhotos();
  $("text").focus();
}

/** Fill in the graphs that are served, and listen. */
export async function openJob() {
  const form = $("job");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  form.addEventListener("input", planSoon);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) go();
  });
  $("again").addEventListener("click", again);
  $("photos").addEventListener("change", (event) => {
    add(event.target.files);
    event.target.value = "";
  });
  const drop = $("drop");
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  });
  addEventListener("paste", (event) => add(event.clipboardData.files));
  try {
    const { data } = await (await ask("/v1/models")).json();
    const graphs = data.filter((entry) => entry.kind === "graph").map((entry) => entry.id);
    $("graph").replaceChildren(...graphs.map((name) => new Option(name, name)));
    $("graph-line").hidden = graphs.length < 2;
  } catch (error) {
    $("plan").replaceChildren(problem(error));
  }
  if (hasJob()) planSoon(); // a browser that goes back keeps what was written
}
