// A run as it goes: its nodes light up, its answer is heard, its spend counts up, its result stands.
import { Refused, dollars, events, part, problem, say, tell } from "./server.js";
const $ = (id) => document.getElementById(id);

/** The nodes of a drawing, by what is known of them. LangGraph tells when a node has ended; it is
    under way from when all that lead to it have. */
export class Nodes {
  constructor(stage) {
    this.all = new Map();
    for (const node of stage.querySelectorAll(".node")) this.all.set(node.dataset.node, node);
  }
  reset() {
    for (const node of this.all.values()) this.set(node, "idle");
    const ended = [...this.all.values()].filter((node) => node.dataset.ended !== undefined);
    this.isResumed = ended.length > 0;
    for (const node of ended) {
      this.set(node, "done");
      this.behind(node);
    }
  }
  set(node, state) {
    node.dataset.state = state;
    node.querySelector(".node-state").textContent = say(`state_${state}`);
  }
  is(name, ...states) {
    return states.includes(this.all.get(name)?.dataset.state);
  }
  begin() {
    for (const node of this.all.values()) {
      const before = JSON.parse(node.dataset.before);
      const isNext = before.every((name) => this.is(name, "done", "failed", "passed"));
      if (node.dataset.state === "idle" && isNext) {
        this.set(node, "running");
      }
    }
  }
  end(name, state = "done") {
    const node = this.all.get(name);
    if (!node) return;
    this.set(node, state);
    if (this.isResumed) this.behind(node);
    this.begin();
  }
  /** What leads to a node has ended in an earlier part of the run. */
  behind(node) {
    for (const name of JSON.parse(node.dataset.before)) {
      if (this.is(name, "done", "failed")) continue;
      this.set(this.all.get(name), "done");
      this.behind(this.all.get(name));
    }
  }
  /** The run is over: what never came to its end was not run, or asks. A node in a graph of its
      own is told of by its calls alone. */
  close(status, called = new Map(), errors = []) {
    const broken = new Set(errors.map((error) => error.stage));
    for (const [name, node] of this.all) {
      if (broken.has(name)) this.set(node, "failed");
      else if (!["idle", "running"].includes(node.dataset.state)) continue;
      else if (called.has(name)) this.set(node, "done");
      else if (node.dataset.state === "running" && status === "waiting") this.set(node, "asking");
      else this.set(node, "passed");
    }
  }
  model(name, model) {
    const shown = this.all.get(name)?.querySelector(".node-model");
    if (shown) shown.textContent = model;
  }
  cost(name, text) {
    const shown = this.all.get(name)?.querySelector(".node-cost");
    if (shown) shown.textContent = text;
  }
  isAnswer(name) {
    return this.all.get(name)?.dataset.answer !== undefined;
  }
}

const HEARD_CHARS = 24;
const seconds = (ms) => `${(ms / 1000).toFixed(ms < 10000 ? 2 : 0)} s`;

/** One run, told in `here`, beside the drawing in `stage`. `start(signal)` begins it. */
export class Run {
  constructor(stage, here) {
    this.nodes = new Nodes(stage);
    this.here = here;
    this.stopped = new AbortController();
    this.paid = new Map();
    this.heard = new Map();
  }

  /** Its result; null for one that was stopped or failed, which is told. `photos` are those that
      the page has, by their place. */
  async go(start, { text = "", photos = null, known = new Map() } = {}) {
    this.open();
    try {
      const answer = await start(this.stopped.signal);
      for await (const [mode, data] of events(answer)) {
        if (mode === "result") return await this.finish(data, text, photos, known);
        if (mode === "error") throw new Refused(data.error.code, data.error.message);
        this.hear(mode, data);
      }
      throw new Refused("", say("broken"));
    } catch (error) {
      this.nodes.close("failed", this.paid);
      const isStopped = error.name === "AbortError";
      const told = isStopped ? note(say("stopped")) : problem(error);
      this.here.replaceChildren(told);
      told.tabIndex = -1;
      told.focus({ preventScroll: true });
      return null;
    } finally {
      clearInterval(this.clock);
    }
  }

  stop() {
    this.stopped.abort();
  }

  open() {
    this.meter = $("meter").content.firstElementChild.cloneNode(true);
    this.here.replaceChildren(this.meter);
    this.nodes.reset();
    this.meter.querySelector("[data-do=stop]").addEventListener("click", () => this.stop());
    this.meter.querySelector("h2").focus({ preventScroll: true });
    const begun = performance.now();
    const clock = this.meter.querySelector(".clock");
    const tick = () => (clock.textContent = seconds(performance.now() - begun));
    tick();
    this.clock = setInterval(tick, 100);
  }

  hear(mode, data) {
    if (mode === "plan") {
      for (const node of data.nodes) this.nodes.model(node.node, node.model);
      this.spend({ cost_usd: 0, tokens: 0, ceiling_usd: data.total.cost_usd, ceiling_tokens: data.total.tokens });
      this.nodes.begin();
    } else if (mode === "updates") {
      for (const name of Object.keys(data)) {
        if (name !== "__interrupt__") this.nodes.end(name, cameTo(data[name]));
      }
    } else if (mode === "call") {
      const sum = (this.paid.get(data.node) ?? 0) + data.cost_usd;
      this.paid.set(data.node, sum);
      this.nodes.cost(data.node, `${dollars(sum)} · ${seconds(1000 * data.seconds)}`);
    } else if (mode === "spend") {
      this.spend(data);
    } else if (mode === "messages" && typeof data.content === "string") {
      this.listen(data.node, data.content);
    }
  }

  /** A piece of what a model says: the end of it stands in its node, an answer in full below. */
  listen(node, piece) {
    const said = (this.heard.get(node) ?? "") + piece;
    this.heard.set(node, said);
    this.nodes.cost(node, said.length > HEARD_CHARS ? `…${said.slice(-HEARD_CHARS)}` : said);
    if (!this.nodes.isAnswer(node)) return;
    const saying = this.meter.querySelector(".saying");
    saying.hidden = false;
    saying.querySelector(".say").append(piece);
  }

  spend({ cost_usd: cost, tokens, ceiling_usd: most, ceiling_tokens: mostTokens }) {
    const count = (number) => number.toLocaleString("en");
    const money = { spent: dollars(cost), most: dollars(most) };
    this.meter.querySelector(".money").textContent = say("spent_of", money);
    this.meter.querySelector(".tokens").textContent = say("tokens_of", {
      spent: count(tokens),
      most: count(mostTokens),
    });
    this.meter.querySelector("progress").value = most ? Math.min(1, cost / most) : 0;
  }

  async finish(result, text, photos, known) {
    this.nodes.close(result.status, this.paid, result.errors);
    // A photo that could not be read is not among the result's, so then the server's are shown.
    const isOwn = photos !== null && photos.length === result.images.length && photos.every((one) => one.isSeen);
    const body = { result, text, photos: !isOwn && !result.images.every((key) => known.has(key)) };
    const shown = document.createElement("template");
    shown.innerHTML = await part("result", { body });
    for (const figure of shown.content.querySelectorAll("[data-photo]")) {
      const at = result.images.indexOf(figure.dataset.photo);
      const image = figure.querySelector("img");
      const source = isOwn ? photos[at].address : known.get(figure.dataset.photo);
      if (source) image.src = source;
      else if (!image.getAttribute("src")) gone(figure);
    }
    this.here.replaceChildren(shown.content);
    const article = this.here.querySelector("article");
    article.querySelector("[data-do=copy]").addEventListener("click", () => copy(result));
    light(article, article.dataset.lit);
    const heading = article.querySelector("h2");
    heading.focus({ preventScroll: true });
    article.scrollIntoView({ block: "nearest" });
    const status = say(`status_${result.status}`);
    tell(say("said_done", { status, cost: dollars(result.cost_usd) }), { isSeen: true });
    return result;
  }
}

/** What a node's update says of it: one that joins answers, or is the user's own, is done. */
function cameTo(update) {
  const outcomes = Object.values(update?.outcomes ?? {});
  if (outcomes.some((outcome) => outcome.error)) return "failed";
  return outcomes.length && outcomes.every((outcome) => outcome.skipped) ? "passed" : "done";
}

function note(text) {
  const shown = document.createElement("p");
  shown.className = "nothing";
  shown.textContent = text;
  return shown;
}

function gone(figure) {
  figure.querySelector("img").remove();
  figure.querySelector("figcaption").hidden = false;
}

async function copy(result) {
  await navigator.clipboard.writeText(JSON.stringify(result, null, 2));
  tell(say("copied"));
}

/** Bring out what a field rests on, in the text and on the photos of its article. */
export function light(article, name) {
  for (const piece of article.querySelectorAll("[data-for]")) {
    piece.classList.toggle("on", JSON.parse(piece.dataset.for).includes(name));
  }
  for (const row of article.querySelectorAll(".row")) {
    row.classList.toggle("on", row.dataset.field === name);
  }
  const text = article.querySelector(".read");
  const mark = text?.querySelector("mark.on");
  if (mark) text.scrollTop = mark.offsetTop - text.offsetTop - text.clientHeight / 2;
}
