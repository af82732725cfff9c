"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const filters = document.getElementById("filters");
const list = document.getElementById("documents");
const page = document.getElementById("document");
const FRAGMENTS = 0, TYPE = 1, GOLD = 2, KIND = 3, CONFIDENCE = 4;  // of a span
let shown = [];  // indices of the documents that pass the filters
let current = -1;  // index in `shown`
let chosen = -1;  // index of a span of the current document
let mention = null;  // what a link above asks for, until a filter is used: its words and its side

for (const [name, values] of [["type", data.types], ["kind", data.kinds]]) {
  values.forEach((value, index) => filters[name].add(new Option(value, index)));
}

// Offsets count code points, of which JavaScript's strings may take two units for one.
function characters(one) {
  one.characters ??= [...one.text ?? "\u2007".repeat(one.length)];
  return one.characters;
}

function words(one, span, between) {
  return span[FRAGMENTS].map(([from, to]) => characters(one).slice(from, to).join("")).join(between);
}

// As the tables above compare mentions, and the search texts.
const normalised = (text) => text.toLowerCase().trim().replace(/\s+/g, " ");

function passes(one, span) {
  const { type, kind, least, most } = filters;
  if (mention && (span[GOLD] !== mention.gold || normalised(words(one, span, " ")) !== mention.words)) return false;
  if (type.value !== "" && span[TYPE] !== Number(type.value)) return false;
  if (kind.value === "any" && span[KIND] === null) return false;
  if (kind.value !== "" && kind.value !== "any" && span[KIND] !== Number(kind.value)) return false;
  if (span[CONFIDENCE] === null) return Number(least.value) === 0 && Number(most.value) === 1;
  return span[CONFIDENCE] >= Number(least.value) && span[CONFIDENCE] <= Number(most.value);
}

// Indices of the spans that are errors and pass the filters, in the order of the text.
function errorsOf(one) {
  return [...one.spans.keys()]
    .filter((at) => one.spans[at][KIND] !== null && passes(one, one.spans[at]))
    .sort((a, b) => one.spans[a][FRAGMENTS][0][0] - one.spans[b][FRAGMENTS][0][0]);
}

function filter() {
  const wanted = normalised(filters.search.value);
  const all = !mention && ["type", "kind"].every((name) => filters[name].value === "")
    && Number(filters.least.value) === 0 && Number(filters.most.value) === 1;
  shown = data.documents.flatMap((one, index) => {
    one.searched ??= normalised(`${one.id}\n${one.text ?? ""}`);
    return one.searched.includes(wanted) && (all || one.spans.some((span) => passes(one, span))) ? [index] : [];
  });
  list.replaceChildren(...shown.map((index, place) => {
    const item = document.createElement("li");
    const wrong = document.createElement("span");
    item.append(data.documents[index].id, wrong);
    wrong.textContent = errorsOf(data.documents[index]).length;
    item.addEventListener("click", () => show(place));
    return item;
  }));
  const of = mention ? `“${mention.words}”: ` : "";
  document.getElementById("found").textContent = `${of}${shown.length} of ${data.documents.length} documents`;
  show(shown.length ? 0 : -1);
}

const address = (one, span) =>
  `#document=${encodeURIComponent(one.id)}${span === undefined ? "" : `&span=${span}`}`;

// Some browsers allow a hundred changes in half a minute, and none in a frame.
function remember(hash) {
  try { history.replaceState(null, "", hash); } catch { /* the link is all that is lost */ }
}

function show(place) {
  list.children[current]?.removeAttribute("aria-current");
  current = place;
  chosen = -1;
  page.replaceChildren();
  if (place < 0) return;
  list.children[place].setAttribute("aria-current", "true");
  within(list, list.children[place]);
  const one = data.documents[shown[place]];
  const heading = document.createElement("h3");
  heading.textContent = one.id;
  const text = document.createElement("div");
  text.id = "text";
  text.append(...pieces(one));
  const mistake = document.createElement("p");
  mistake.id = "mistake";
  page.append(heading, text, mistakes(one), mistake);
  page.scrollTop = 0;
  remember(address(one));
}

// A link to each error of a document.
function mistakes(one) {
  const links = document.createElement("ol");
  links.id = "mistakes";
  links.append(...errorsOf(one).map((at) => {
    const item = document.createElement("li");
    const link = document.createElement("a");
    link.href = address(one, at);
    link.textContent = describe(one, one.spans[at]);
    item.append(link);
    return item;
  }));
  return links;
}

// For each span a lane, so that those of one side that overlap do not hide one another.
function lanes(spans) {
  const reach = (span) => [span[FRAGMENTS][0][0], span[FRAGMENTS].at(-1)[1]];
  const lane = new Array(spans.length);
  for (const side of [0, 1]) {
    let open = [];  // spans that reach as far as the next one
    const own = [...spans.keys()].filter((at) => spans[at][GOLD] === side);
    for (const at of own.sort((a, b) => reach(spans[a])[0] - reach(spans[b])[0])) {
      open = open.filter((other) => reach(spans[other])[1] > reach(spans[at])[0]);
      lane[at] = 0;
      while (open.some((other) => lane[other] === lane[at])) lane[at] += 1;
      open.push(at);
    }
  }
  return lane;
}

// The text cut wherever a span begins or ends; a piece has a line for each span over it.
function pieces(one) {
  const lane = lanes(one.spans);
  const cuts = one.spans.flatMap((span) => span[FRAGMENTS].flat());
  const points = [...new Set([0, ...cuts, one.length])].sort((a, b) => a - b);
  const place = new Map(points.map((point, index) => [point, index]));
  const over = points.map(() => []);  // spans over the piece that begins here
  one.spans.forEach((span, number) => {
    for (const [start, end] of span[FRAGMENTS]) {
      for (let at = place.get(start); at < place.get(end); at += 1) over[at].push(number);
    }
  });
  return points.slice(0, -1).map((start, index) => {
    let inner = document.createTextNode(characters(one).slice(start, points[index + 1]).join(""));
    for (const number of over[index]) {
      const span = one.spans[number];
      const line = document.createElement("span");
      line.className = `${span[GOLD] ? "gold" : "found"}${span[KIND] === null ? "" : " wrong"}`;
      line.dataset.span = number;
      const named = span[GOLD] || span[KIND] !== null;  // what is right has the gold's name
      if (named && start === span[FRAGMENTS][0][0]) line.dataset.type = data.types[span[TYPE]];
      line.style.setProperty("--lane", lane[number]);
      line.title = describe(one, span);
      line.append(inner);
      inner = line;
    }
    return inner;
  });
}

// Scrolls a box, and not the page, until an element in it can be seen.
function within(box, element) {
  const [outer, inner] = [box.getBoundingClientRect(), element.getBoundingClientRect()];
  if (inner.top < outer.top || inner.bottom > outer.bottom) {
    box.scrollTop += inner.top - outer.top - box.clientHeight / 2;
  }
}

function describe(one, span) {
  const kind = span[KIND] === null ? "right" : data.kinds[span[KIND]];
  const sure = span[CONFIDENCE] === null ? "" : `, confidence ${span[CONFIDENCE]}`;
  const text = one.text === null ? "" : ` “${words(one, span, " … ")}”`;
  return `${span[GOLD] ? "gold" : "predicted"} ${data.types[span[TYPE]]}${text}: ${kind}${sure}`;
}

function choose(at) {
  const one = data.documents[shown[current]];
  if (!one?.spans[at]) return;
  chosen = at;
  for (const line of page.querySelectorAll(".chosen")) line.classList.remove("chosen");
  const lines = page.querySelectorAll(`[data-span="${at}"]`);
  for (const line of lines) line.classList.add("chosen");
  if (lines[0]) within(page, lines[0]);
  document.getElementById("mistake").textContent = describe(one, one.spans[at]);
  remember(address(one, at));
}

// To the next error, or the previous one, of this document or of the nearest that has some.
function step(by) {
  for (let place = current; place >= 0 && place < shown.length; place += by) {
    const errors = errorsOf(data.documents[shown[place]]);
    const from = place === current && chosen >= 0 ? errors.indexOf(chosen) + by : by > 0 ? 0 : errors.length - 1;
    if (place === current && chosen < 0 && by < 0) continue;  // nothing is before the beginning
    if (errors[from] === undefined) continue;
    if (place !== current) show(place);
    return choose(errors[from]);
  }
}

document.addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox])");
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else if (event.key === "j" && current + 1 < shown.length) show(current + 1);
  else if (event.key === "k" && current > 0) show(current - 1);
  else return;
  event.preventDefault();  // or a select would take it for the beginning of an option
});

function reset() {
  filters.reset();
  mention = null;
}

// The tables above lead to the errors that they count.
function leadTo({ kind, mention: words, type, side }) {
  reset();
  filters.kind.value = kind === undefined ? "any" : data.kinds.indexOf(kind);
  if (words !== undefined) {
    mention = { words, gold: side === "missed" ? 1 : 0 };
    filters.type.value = data.types.indexOf(type);
  }
  filter();
  step(1);
}
for (const link of document.querySelectorAll("[data-kind], [data-mention]")) {
  link.addEventListener("click", () => leadTo(link.dataset));
}
for (const event of ["input", "change"]) {
  filters.addEventListener(event, () => {
    mention = null;
    filter();
  });
}
const types = document.getElementById("show-types");
types.addEventListener("change", () => page.classList.toggle("types", types.checked));

function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  if (!wanted.has("document")) return;
  const found = () => shown.findIndex((index) => data.documents[index].id === wanted.get("document"));
  if (found() < 0) {
    reset();
    filter();
  }
  const place = found();
  if (place !== current && place >= 0) show(place);
  if (place >= 0 && wanted.has("span")) choose(Number(wanted.get("span")));
}
const asked = location.hash;
filter();
if (asked.startsWith("#document=")) {
  remember(asked);
  follow();
  document.getElementById("browser").scrollIntoView();
} else {
  remember(asked || location.pathname);
}
window.addEventListener("hashchange", follow);
