"use strict";
// Tables that sort by a click on a heading; a second click turns the order round.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.tabIndex = 0;
    const sort = () => {
      const down = heading.getAttribute("aria-sort") !== "descending" && heading.className === "n"
        || heading.getAttribute("aria-sort") === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[column].textContent;
      const rows = [...table.tBodies[0].rows].sort((a, b) =>
        key(a).localeCompare(key(b), "en", { numeric: true }));
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    };
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}

const data = JSON.parse(document.getElementById("data").textContent);
const filters = document.getElementById("filters");
const list = document.getElementById("documents");
const page = document.getElementById("document");
const FRAGMENTS = 0, TYPE = 1, GOLD = 2, KIND = 3, CONFIDENCE = 4;  // of a span
let shown = [];  // indices of the documents that pass the filters
let current = -1;  // index in `shown`
let error = -1;  // index among the errors of the current document

for (const [name, values] of [["type", data.types], ["kind", data.kinds]]) {
  values.forEach((value, index) => filters[name].add(new Option(value, index)));
}

function passes(span) {
  const { type, kind, least } = filters;
  if (type.value !== "" && span[TYPE] !== Number(type.value)) return false;
  if (kind.value === "any" && span[KIND] === null) return false;
  if (kind.value !== "" && kind.value !== "any" && span[KIND] !== Number(kind.value)) return false;
  return span[CONFIDENCE] === null || span[CONFIDENCE] >= Number(least.value);
}

function errorsOf(one) {
  return one.spans.filter((span) => span[KIND] !== null && passes(span))
    .sort((a, b) => a[FRAGMENTS][0][0] - b[FRAGMENTS][0][0]);
}

function filter() {
  const words = filters.search.value.toLowerCase();
  const all = filters.type.value === "" && filters.kind.value === "" && Number(filters.least.value) === 0;
  shown = data.documents.flatMap((one, index) => {
    const text = `${one.id}\n${one.text ?? ""}`.toLowerCase();
    return text.includes(words) && (all || one.spans.some(passes)) ? [index] : [];
  });
  list.replaceChildren(...shown.map((index, place) => {
    const item = document.createElement("li");
    const wrong = document.createElement("span");
    item.append(data.documents[index].id, wrong);
    wrong.textContent = errorsOf(data.documents[index]).length;
    item.addEventListener("click", () => show(place));
    return item;
  }));
  document.getElementById("found").textContent = `${shown.length} of ${data.documents.length} documents`;
  show(shown.length ? 0 : -1);
}

function show(place, at = -1) {
  list.children[current]?.removeAttribute("aria-current");
  current = place;
  error = -1;
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
  page.append(heading, text, mistake);
  history.replaceState(null, "", `#document=${encodeURIComponent(one.id)}`);
  if (at >= 0) choose(at);
}

// For each span a lane, so that those of one side that overlap do not hide one another.
function lanes(spans) {
  const taken = [];
  return spans.map((span) => {
    const [from, to] = [span[FRAGMENTS][0][0], span[FRAGMENTS].at(-1)[1]];
    const near = taken.filter((other) => other.side === span[GOLD] && other.from < to && from < other.to);
    let lane = 0;
    while (near.some((other) => other.lane === lane)) lane += 1;
    taken.push({ side: span[GOLD], from, to, lane });
    return lane;
  });
}

// The text cut wherever a span begins or ends; a piece has a line for each span over it.
function pieces(one) {
  const lane = lanes(one.spans);
  const text = one.text ?? "\u2007".repeat(one.length);
  const cuts = new Set([0, text.length]);
  for (const span of one.spans) for (const [start, end] of span[FRAGMENTS]) cuts.add(start).add(end);
  const points = [...cuts].sort((a, b) => a - b);
  return points.slice(0, -1).map((start, index) => {
    let inner = document.createTextNode(text.slice(start, points[index + 1]));
    one.spans.forEach((span, number) => {
      if (!span[FRAGMENTS].some(([from, to]) => from <= start && start < to)) return;
      const line = document.createElement("span");
      line.className = `${span[GOLD] ? "gold" : "found"}${span[KIND] === null ? "" : " wrong"}`;
      line.dataset.span = number;
      line.style.setProperty("--lane", lane[number]);
      line.title = describe(span);
      if (span[FRAGMENTS][0][0] === start) line.dataset.type = data.types[span[TYPE]];
      line.append(inner);
      inner = line;
    });
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

function describe(span) {
  const kind = span[KIND] === null ? "right" : data.kinds[span[KIND]];
  const sure = span[CONFIDENCE] === null ? "" : `, confidence ${span[CONFIDENCE]}`;
  return `${span[GOLD] ? "gold" : "predicted"} ${data.types[span[TYPE]]}: ${kind}${sure}`;
}

function choose(at) {
  const one = data.documents[shown[current]];
  const span = errorsOf(one)[at];
  if (!span) return false;
  error = at;
  for (const line of page.querySelectorAll(".chosen")) line.classList.remove("chosen");
  const lines = page.querySelectorAll(`[data-span="${one.spans.indexOf(span)}"]`);
  for (const line of lines) line.classList.add("chosen");
  if (lines[0]) within(page, lines[0]);
  document.getElementById("mistake").textContent = describe(span);
  history.replaceState(null, "", `#document=${encodeURIComponent(one.id)}&error=${at}`);
  return true;
}

function step(by) {
  if (current < 0 || choose(error + by)) return;
  for (let place = current + by; place >= 0 && place < shown.length; place += by) {
    const count = errorsOf(data.documents[shown[place]]).length;
    if (count) return show(place, by > 0 ? 0 : count - 1);
  }
}

document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "n") step(1);
  else if (event.key === "p") step(-1);
  else if (event.key === "j" && current + 1 < shown.length) show(current + 1);
  else if (event.key === "k" && current > 0) show(current - 1);
});
for (const link of document.querySelectorAll("[data-kind]")) {
  link.addEventListener("click", () => {
    filters.kind.value = data.kinds.indexOf(link.dataset.kind);
    filter();
    step(1);
  });
}
for (const event of ["input", "change"]) filters.addEventListener(event, filter);

function follow() {
  const wanted = new URLSearchParams(location.hash.slice(1));
  const place = shown.findIndex((index) => data.documents[index].id === wanted.get("document"));
  if (place >= 0) show(place, Number(wanted.get("error") ?? -1));
}
filters.types.addEventListener("change", () => page.classList.toggle("types", filters.types.checked));
const asked = location.hash;
filter();
if (asked.startsWith("#document=")) {
  history.replaceState(null, "", asked);
  follow();
  document.getElementById("browser").scrollIntoView();
}
window.addEventListener("hashchange", follow);
