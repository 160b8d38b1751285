"use strict";
// The state of the page is its controls, the order of the tables and the row last opened; all of it stands in the
// address after #, so that a view can be linked. A table's entries are its tbodies, one each.
const controls = [...document.querySelectorAll("select[name], input[name]")];
const filters = document.getElementById("filters");
const boards = [...document.querySelectorAll("table.board")];
const state = { sort: "", row: "" };
let data;

/** What the page knows beyond its tables: gzipped JSON, so that a thousand rows stay small. */
async function unpack() {
  const bytes = Uint8Array.from(atob(document.getElementById("data").textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
}

// Values of different groups are not comparable: they never change places across groups.
const WITHIN_GROUP = ["rank", "best", "final"];

function order(a, b, key, sign) {
  if (WITHIN_GROUP.includes(key) && a.group !== b.group) return a.group - b.group;
  const x = a[key];
  const y = b[key];
  if (x === y) return a.place - b.place;
  if (x === null) return 1;
  if (y === null) return -1;
  return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
}

function sort() {
  const key = state.sort.replace("-", "");
  const sign = state.sort.startsWith("-") ? -1 : 1;
  for (const table of boards) {
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    const button = [...table.tHead.querySelectorAll("button")].find((each) => each.dataset.key === key);
    if (!button) continue;
    button.closest("th").setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
    table.append(...[...table.tBodies].sort((a, b) => order(data.rows[a.id], data.rows[b.id], key, sign)));
  }
}

function filter() {
  const chosen = [...filters.querySelectorAll("select")].filter((select) => select.value);
  const words = filters.elements.text.value.toLowerCase().split(/\s+/);
  let shown = 0;
  for (const table of boards) {
    let here = 0;
    for (const body of table.tBodies) {
      const row = data.rows[body.id];
      const fits = chosen.every((select) => select.value === String(row[select.name]));
      body.hidden = !(fits && words.every((word) => row.text.includes(word)));
      here += !body.hidden;
    }
    table.closest("section").hidden = here === 0;
    shown += here;
  }
  filters.querySelector("output").textContent = `${shown} of ${Object.keys(data.rows).length} rows`;
}

/** Opens or closes a row. What it shows, pictures included, exists only while it is open. */
function toggle(body, open) {
  const button = body.querySelector(".open");
  if (open === (body.rows.length > 1)) return;
  button.setAttribute("aria-expanded", String(open));
  if (open) {
    const cell = body.insertRow().insertCell();
    cell.parentElement.className = "detail";
    cell.colSpan = body.rows[0].cells.length;
    cell.innerHTML = data.details[body.id]; // escaped where it was written
    const [labels, ...lines] = data.snapshots[body.id] ?? [];
    const table = cell.querySelector(".values");
    if (table) {
      const heading = table.createTHead().insertRow();
      for (const label of labels.split("|")) add(heading, "th", label, { scope: "col", class: "num" });
      for (const line of lines) {
        const row = (table.tBodies[0] ?? table.createTBody()).insertRow();
        for (const text of line.split("|")) add(row, "td", text, { class: "num" });
      }
    }
  } else body.rows[1].remove();
  state.row = open ? body.id : "";
}

function add(parent, tag, text, attributes = {}) {
  const node = parent.appendChild(document.createElement(tag));
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** How two scores of a setting compare: the difference as text, and who is better. */
function judge(setting, a, b) {
  const [[x, , xText], [y, , yText]] = [setting.scores[a], setting.scores[b]];
  const digits = Math.max(...[xText, yText].map((text) => text.split(" ")[0].split(".")[1]?.length ?? 0));
  const better = setting.ahead[a].includes(b) ? a : setting.ahead[b].includes(a) ? b : "unclear";
  return { difference: `${y > x ? "+" : ""}${(y - x).toFixed(digits).replace("-", "−")}`, better };
}

function compare() {
  const output = document.getElementById("comparison");
  if (!output) return;
  const [a, b] = ["a", "b"].map((name) => controls.find((control) => control.name === name).value);
  output.replaceChildren();
  if (!a || !b || a === b) return;
  const settings = data.settings.filter(({ scores }) => Object.hasOwn(scores, a) && Object.hasOwn(scores, b));
  if (!settings.length) return add(output, "p", "No setting in which both have a number.");
  const region = add(output, "div", "", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${a} and ${b}` });
  const table = add(region, "table", "", { class: "comparison" });
  const head = table.createTHead().insertRow();
  for (const name of ["Setting", "Metric", a, b, "B − A", "Better"]) {
    add(head, "th", name, { scope: "col" });
  }
  for (const [ranking, title] of Object.entries(data.rankings)) {
    const members = settings.filter((setting) => setting.ranking === ranking);
    if (!members.length) continue;
    const verdicts = members.map((setting) => judge(setting, a, b));
    const count = (name) => verdicts.filter((verdict) => verdict.better === name).length;
    const body = table.createTBody();
    const heading = add(body.insertRow(), "th", `${title}: ${a} is better in ${count(a)}, ${b} in ${count(b)}, unclear in ${count("unclear")}`);
    heading.colSpan = head.cells.length;
    heading.scope = "rowgroup";
    members.forEach((setting, i) => {
      const row = body.insertRow();
      const place = add(row, "th", `${setting.dataset}, ${setting.images} images`, { scope: "row" });
      for (const text of [setting.model, setting.protocol, setting.credit]) if (text) add(place, "small", text);
      add(row, "td", `${setting.metric} ${setting.higher ? "↑" : "↓"}`);
      for (const method of [a, b]) {
        const [, n, text, doubt] = setting.scores[method];
        const cell = add(row, "td", n ? `${text} (n = ${n})` : text, { class: "num" });
        if (doubt) add(cell, "small", doubt);
      }
      add(row, "td", verdicts[i].difference, { class: "num" });
      add(row, "td", verdicts[i].better);
    });
  }
}

function draw() {
  const chosen = controls.find((control) => control.name === "view");
  if (chosen) document.getElementById("view").innerHTML = data.views[chosen.value];
}

/** What each row has besides its text: its curve, and on a narrow screen its setting below the method. */
function complete() {
  for (const table of boards) {
    for (const body of table.tBodies) {
      const row = data.rows[body.id];
      row.text = body.textContent.toLowerCase();
      if (body.id in data.sparks) body.querySelector(".curve").innerHTML = data.sparks[body.id];
      const narrow = add(body.querySelector("th"), "small", "", { class: "narrow" });
      add(narrow, "span", row.source, { class: `badge ${row.source}` });
      narrow.append(` ${row.dataset}, ${row.size} images, ${row.metric}, ${row.protocol}`);
    }
  }
}

function save() {
  const values = controls
    .filter((control) => control.value && !(control.name === "view" && control.selectedIndex === 0))
    .map((control) => [control.name, control.value]);
  const stated = [...values, ...Object.entries(state).filter(([, value]) => value)];
  history.replaceState(null, "", `#${new URLSearchParams(stated)}`);
}

function load() {
  const stated = new URLSearchParams(location.hash.slice(1));
  for (const control of controls) {
    control.value = stated.get(control.name) ?? "";
    if (control.selectedIndex === -1) control.selectedIndex = 0;
  }
  state.sort = stated.get("sort") ?? "";
  for (const update of [draw, compare, sort, filter]) update();
  const body = document.getElementById(stated.get("row") ?? "");
  if (body && body.id in data.rows) {
    toggle(body, true);
    body.scrollIntoView();
  }
}

async function start() {
  data = await unpack();
  complete();
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  load();
  addEventListener("hashchange", load);
  document.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("input", (event) => {
    ({ view: draw, a: compare, b: compare })[event.target.name]?.();
    if (filters.contains(event.target)) filter();
    save();
  });
  filters.addEventListener("reset", () => setTimeout(() => (filter(), save())));
  for (const table of boards) {
    table.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      if (button.dataset.key) {
        state.sort = state.sort === button.dataset.key ? `-${button.dataset.key}` : button.dataset.key;
        sort();
      } else toggle(button.closest("tbody"), button.getAttribute("aria-expanded") === "false");
      save();
    });
  }
  document.documentElement.dataset.ready = "";
}

start();
