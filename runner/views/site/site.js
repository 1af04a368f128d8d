"use strict";
// The page's state is its address (after #), so that every view has a link. Nothing is fetched, nothing is stored.
const { rows, words, quantiles, facets, unstated } = JSON.parse(document.getElementById("data").textContent);
const byId = new Map(rows.map((row) => [row.id, row]));
const STEP = 50, MOST_PICKED = 6;
const SORTS = { speed: "number", mfu: "number", energy: "number", cost: "number", quality: "number", started: "text" };
// A column without a single value says nothing.
const COLUMNS = ["what", "system", "precision", "speed", "mfu", "energy", "cost", "quality", "status"]
  .filter((column) => !(column in SORTS) || column === "speed" || rows.some((row) => row[column].value !== null));
let shown = STEP;

const read = () => new URLSearchParams(location.hash.slice(1));
const state = () => Object.fromEntries(read());
const language = () => (read().get("lang") === "zh" ? "zh" : read().get("lang") === "en" ? "en" : words.first);
const say = (key) => words[language()][key] ?? key;
const picked = () => (read().get("pick") ?? "").split(",").filter((id) => byId.has(id));

function go(changes) {
  const next = read();
  for (const [key, value] of Object.entries(changes)) value ? next.set(key, value) : next.delete(key);
  shown = STEP;
  if (next.toString() === location.hash.slice(1)) draw(); else location.hash = next.toString();
}

function node(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "class" || key === "style" || value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// --- which rows, in which order ------------------------------------------------------------------------------------

function matching() {
  const wanted = state(), terms = (wanted.q ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => facets.every((facet) => !wanted[facet] || String(row[facet]) === wanted[facet])
    && terms.every((term) => row.text.includes(term)));
}

// Failed and emulated ones never stand among results; then what has no value; a lower figure is better where it is said.
function ordered(found) {
  const { sort = "started", way } = state();
  const value = (row) => (sort === "started" ? row.started : row[sort]?.value ?? null);
  const sign = (row) => (sort === "started" ? -1 : row[sort].better === "lower" ? 1 : -1) * (way === "worst" ? -1 : 1);
  const rank = (row) => (row.rankable ? 0 : 2) + (value(row) === null ? 1 : 0);
  const unit = (row) => (sort === "started" ? "" : `${row[sort] ? measuredIn(row[sort]) : ""} ${row[sort]?.better ?? ""} ${row[sort]?.name ?? ""}`);
  return [...found].sort((a, b) => rank(a) - rank(b)
    || (value(a) === null || value(b) === null ? 0
      : unit(a) !== unit(b) ? unit(a).localeCompare(unit(b))  // unlike figures stand apart
      : value(a) < value(b) ? -sign(a) : value(a) > value(b) ? sign(a) : 0));
}

// --- the table -----------------------------------------------------------------------------------------------------

function head() {
  const { sort = "started", way } = state();
  return node("tr", {}, node("th", { class: "pick" }, say("pick")), ...COLUMNS.map((column) => {
    const title = say(`column_${column}`);
    if (!(column in SORTS)) return node("th", {}, title);
    const on = sort === column;
    const arrow = on ? (way === "worst" ? " ▲" : " ▼") : "";
    const press = () => go({ sort: column, way: on && way !== "worst" ? "worst" : "" });
    return node("th", { class: "number", "aria-sort": on ? (way === "worst" ? "ascending" : "descending") : "none" },
      node("button", { type: "button", onclick: press }, title + arrow));
  }));
}

function bar(row, tops) {
  const top = tops.get(row.group);
  if (!top || row.speed.value === null || !row.rankable) return null;
  const share = (value) => `${Math.max(0, Math.min(100, (100 * value) / top)).toFixed(2)}%`;
  const made = node("div", { class: "bar", "aria-hidden": "true" }, node("i"));
  made.firstChild.style.width = share(row.speed.value);
  if (row.speed.low !== null) {
    const whisker = node("b");
    whisker.style.left = share(row.speed.low);
    whisker.style.right = `calc(100% - ${share(row.speed.high)})`;
    made.append(whisker);
  }
  return made;
}

function figure(one, extra = null) {
  if (one.value === null) return [node("span", { class: "dim", title: words.reasons[language()][one.reason] ?? "" }, "–")];
  const range = one.range ? node("small", {}, one.range.join("–")) : null;
  const title = one.title === undefined ? null : node("small", {}, words.titles[language()][one.title]);
  return [`${one.text}${one.unit ? " " + one.unit : ""}`, range, title, extra];
}

function line(row, tops, chosen) {
  const full = !chosen.includes(row.id) && chosen.length >= MOST_PICKED;
  const box = node("input", { type: "checkbox", disabled: full, "aria-label": say("pick"), onchange: () => {
    const next = chosen.includes(row.id) ? chosen.filter((id) => id !== row.id) : [...chosen, row.id];
    go({ pick: next.join(",") });
  } });
  box.checked = chosen.includes(row.id);
  const link = node("a", { class: "run", href: `#${withRun(row.id)}` }, row.model ?? row.name);
  const cells = {
    what: [link, node("small", {}, row.what), ...marks(row)],
    system: [row.chip ?? row.vendor ?? "–", node("small", {}, row.system)],
    precision: [row.precision ?? "–"],
    speed: figure(row.speed, bar(row, tops)),
    mfu: figure(row.mfu), energy: figure(row.energy), cost: figure(row.cost), quality: figure(row.quality),
    status: [node("span", { class: row.status === "done" ? "" : "bad" }, say(`status_${row.status}`)),
      node("small", {}, row.date ?? "")],
  };
  return node("tr", {}, node("td", { class: "pick" }, box), ...COLUMNS.map((column) =>
    node("td", { class: column + (column in SORTS && column !== "started" ? " number" : ""),
      "data-head": column === "what" ? false : say(`column_${column}`) }, ...cells[column])));
}

function marks(row) {
  return row.marks.map((mark) => node("span", { class: `mark ${mark.kind}` }, say(`mark_${mark.name}`)));
}

function withRun(id) {
  const next = read();
  next.set("run", id);
  return next.toString();
}

// --- one run -------------------------------------------------------------------------------------------------------

function detail() {
  const place = document.getElementById("detail"), row = byId.get(read().get("run"));
  place.hidden = !row;
  place.replaceChildren();
  if (!row) return;
  const close = node("button", { type: "button", onclick: () => go({ run: "" }) }, say("close"));
  const facts = row.facts.flatMap(([name, value]) => [node("dt", {}, words.names[language()][name] ?? name), node("dd", {}, value)]);
  const figures = row.figures.map((one) => node("tr", {}, node("td", {}, words.titles[language()][one.title]),
    node("td", { class: "number" }, ...figure({ ...one, title: undefined }))));
  place.append(node("h2", {}, row.model ?? row.name, " ", ...marks(row)), node("dl", {}, ...facts),
    node("div", { class: "scroll" }, node("table", {}, node("tbody", {}, ...figures))),
    ...row.notes.map((note) => node("p", { class: "warn" }, words.reasons[language()][note])), close);
}

// --- several side by side ------------------------------------------------------------------------------------------

// Welch on the logarithms, by the delta method: as runner/comparison does, from mean, deviation and count.
const measuredIn = (one) => one.measured_in ?? one.unit;  // the unit is written with a prefix where that reads better

function quantile(freedom) {
  const below = Math.max(1, Math.min(quantiles.length, Math.floor(freedom))), above = Math.min(quantiles.length, below + 1);
  if (above === below || freedom <= below) return quantiles[below - 1];
  const share = (1 / below - 1 / freedom) / (1 / below - 1 / above);  // it is nearly a line in 1/freedom
  return quantiles[below - 1] + share * (quantiles[above - 1] - quantiles[below - 1]);
}

function ratio(first, other) {
  const times = other.value / first.value;
  if (first.deviation === null || other.deviation === null) return { times, low: null, high: null };
  const part = (one) => (one.deviation / one.value) ** 2 / one.n;
  const [a, b] = [part(first), part(other)], variance = a + b;
  if (variance === 0) return { times, low: times, high: times };
  const freedom = variance ** 2 / (a ** 2 / (first.n - 1) + b ** 2 / (other.n - 1));
  const half = quantile(freedom) * Math.sqrt(variance);
  return { times, low: times * Math.exp(-half), high: times * Math.exp(half) };
}

function compared(first, row, one) {
  const base = first.figures.find((other) => other.name === one.name);
  if (row === first || !base || !base.value || one.value === null || measuredIn(base) !== measuredIn(one)) return null;
  if (one.same_batch && String(first.batch) !== String(row.batch)) return node("small", {}, say("batch"));
  const { times, low, high } = ratio(base, one);
  const range = low === null ? say(base.n > 1 && one.n > 1 ? "highest" : "once") : `${low.toFixed(3)}–${high.toFixed(3)}${low <= 1 && high >= 1 ? " · " + say("nodifference") : ""}`;
  return node("small", {}, `${times.toFixed(3)}x (${range})`);
}

// As runner/comparison/likeness: what is not stated refuses nothing, and what others publish of training holds for both.
function unlike(chosen) {
  return chosen[0].like.map(([name], place) => {
    const values = new Set(chosen.map((row) => row.like[place][1]).filter((value) => value !== unstated));
    const both = name === "task" && chosen.some((row) => row.origin === "published")
      && chosen.every((row) => row.trains);
    return values.size > 1 && !both ? name : null;
  }).filter((name) => name !== null);
}

const title = (row) => [row.model ?? row.name, row.chip ?? row.vendor, row.precision].filter(Boolean).join(" · ");

function compare() {
  const place = document.getElementById("compare"), chosen = picked().map((id) => byId.get(id));
  place.hidden = chosen.length < 1;
  place.replaceChildren();
  if (!chosen.length) return;
  const differing = unlike(chosen), alike = !differing.length && chosen.every((row) => row.rankable);
  const speed = chosen[0].speed.name, single = chosen.every((row) => row.devices === "1");
  const names = [...new Map(chosen.flatMap((row) => row.figures)
    .filter((one) => one.value !== null && !(single && one.name.endsWith("_per_device")))
    .sort((a, b) => (b.name === speed) - (a.name === speed)).map((one) => [one.name, one.title])).entries()];
  const tops = new Map(alike ? [[chosen[0].group, Math.max(...chosen.map((row) => row.speed.high ?? row.speed.value))]] : []);
  const cell = (row, name) => {
    const one = row.figures.find((other) => other.name === name);
    if (!one) return node("td", { class: "number" }, "–");
    return node("td", { class: "number" }, ...figure({ ...one, title: undefined }, alike ? compared(chosen[0], row, one) : null),
      name === speed ? bar(row, tops) : null);
  };
  const header = node("tr", {}, node("th"), ...chosen.map((row) => node("th", { class: "number" },
    row.chip ?? row.vendor ?? row.name, node("small", {}, `${row.what} · ${row.precision ?? ""}`), ...marks(row))));
  const body = names.map(([name, title]) => node("tr", {}, node("td", {}, words.titles[language()][title]),
    ...chosen.map((row) => cell(row, name))));
  const against = alike && chosen.length > 1 ? say("against").replace("{first}", title(chosen[0])) : "";
  const warning = chosen.length < 2 ? say("pickmore") : alike ? "" : [say("unlike"), ...differing].join(" ");
  const table = node("table", { class: "pairs" }, node("thead", {}, header), node("tbody", {}, ...body));
  table.style.setProperty("--picks", chosen.length);
  place.append(node("h2", {}, say("compare")), ...[warning ? node("p", { class: "warn" }, warning) : null,
    against ? node("p", {}, against) : null, node("div", { class: "scroll" }, table),
    node("button", { type: "button", onclick: () => go({ pick: "" }) }, say("clear"))].filter(Boolean));
}

// --- everything ----------------------------------------------------------------------------------------------------

function filters(wanted) {
  for (const facet of facets) {
    const select = document.getElementById(facet);
    const values = [...new Set(rows.map((row) => row[facet]).filter((value) => value !== null))].map(String).sort();
    const name = (value) => words[language()][`value_${facet}_${value}`] ?? value;
    select.replaceChildren(node("option", { value: "" }, say("any")), ...values.map((value) => node("option", { value }, name(value))));
    select.value = wanted[facet] ?? "";
    select.previousSibling.textContent = say(`facet_${facet}`);
  }
  const field = document.getElementById("q");
  if (document.activeElement !== field) field.value = wanted.q ?? "";
}

function draw() {
  document.documentElement.lang = language();
  for (const place of document.querySelectorAll("[data-say]")) place.textContent = say(place.dataset.say);
  document.getElementById("language").textContent = say("other_language");
  const found = ordered(matching()), tops = new Map(), chosen = picked();
  for (const row of found) {
    if (row.rankable && row.speed.value !== null && row.speed.better !== "lower") {
      tops.set(row.group, Math.max(tops.get(row.group) ?? 0, row.speed.high ?? row.speed.value));
    }
  }
  document.title = say("title");
  document.getElementById("count").textContent = say("count").replace("{found}", found.length).replace("{all}", rows.length);
  const bar = document.getElementById("picked");
  bar.hidden = !chosen.length;
  bar.firstChild.textContent = say("chosen").replace("{count}", chosen.length);
  filters(state());
  compare();
  detail();
  document.querySelector("#results thead").replaceChildren(head());
  document.querySelector("#results tbody").replaceChildren(...found.slice(0, shown).map((row) => line(row, tops, chosen)));
  document.getElementById("more").hidden = found.length <= shown;
}

for (const facet of facets) {
  const select = node("select", { id: facet, onchange: (event) => go({ [facet]: event.target.value }) });
  document.getElementById("facets").append(node("label", {}, node("span"), select));
}
document.getElementById("q").addEventListener("input", (event) => go({ q: event.target.value }));
document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("language").addEventListener("click", () => go({ lang: language() === "zh" ? "en" : "zh" }));
document.querySelector("#more button").addEventListener("click", () => { shown += STEP * 4; draw(); });
document.querySelector("#picked button").addEventListener("click", () => document.getElementById("compare").scrollIntoView());
addEventListener("hashchange", draw);
document.getElementById("filter").open = matchMedia("(min-width: 1001px)").matches || facets.some((facet) => read().has(facet));
draw();
document.body.dataset.ready = "yes";
