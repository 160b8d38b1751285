"use strict";
// The state of the page is its controls, the order of the tables and the row last opened; all of it stands in the
// address after #, so that a view can be linked. What was changed last stands last, and there a link opens. A table's
// entries are its tbodies, one each.
const controls = [...document.querySelectorAll("select[name], input[name]")];
const filters = document.getElementById("filters");
const boards = [...document.querySelectorAll("table.board")];
const notice = document.getElementById("notice");
const view = controls.find((control) => control.name === "view");
const FEW = 25; // rows of a table, until all are asked for
let stated = new URLSearchParams();
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
  const stated_order = stated.get("sort") ?? "";
  const key = stated_order.replace("-", "");
  const sign = stated_order.startsWith("-") ? -1 : 1;
  for (const table of boards) {
    for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
    const button = [...table.tHead.querySelectorAll("button")].find((each) => each.dataset.key === key);
    if (!button) continue;
    button.closest("th").setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
    table.append(...[...table.tBodies].sort((a, b) => order(data.rows[a.id], data.rows[b.id], key, sign)));
  }
  filter();
}

/** Shows the rows that fit: of each table the first ones, or all where that was asked for. */
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
      body.classList.toggle("beyond", here > FEW && !table.classList.contains("whole"));
    }
    const section = table.closest("section");
    section.hidden = here === 0;
    const link = document.querySelector(`#contents a[href="#${section.getAttribute("aria-labelledby")}"]`);
    link.parentElement.hidden = here === 0;
    link.querySelector("span").textContent = here;
    const [count, button] = section.querySelector(".more").children;
    const whole = here <= FEW || table.classList.contains("whole");
    count.textContent = `${whole ? here : FEW} of ${here} rows`;
    button.textContent = whole ? `Show the first ${FEW}` : `Show all ${here} rows`;
    button.parentElement.hidden = here <= FEW;
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
      for (const label of labels) add(heading, "th", label, { scope: "col", class: "num" });
      for (const line of lines) {
        const row = (table.tBodies[0] ?? table.createTBody()).insertRow();
        for (const text of line) add(row, "td", text, { class: "num" });
      }
    }
  } else body.rows[1].remove();
}

function add(parent, tag, text, attributes = {}) {
  const node = parent.appendChild(document.createElement(tag));
  node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** How two scores of a setting compare: the difference as text, and who is better. */
function judge(setting, a, b) {
  const [[x, , xText, , xRanked], [y, , yText, , yRanked]] = [setting.scores[a], setting.scores[b]];
  const digits = Math.max(...[xText, yText].map((text) => text.split(" ")[0].split(".")[1]?.length ?? 0));
  const open = xRanked && yRanked ? "unclear" : "not ranked";
  const better = setting.ahead[a].includes(b) ? a : setting.ahead[b].includes(a) ? b : open;
  return { difference: `${y > x ? "+" : ""}${(y - x).toFixed(digits).replace("-", "−")}`, better };
}

function compare() {
  const output = document.getElementById("comparison");
  if (!output) return;
  const [a, b] = ["a", "b"].map((name) => controls.find((control) => control.name === name).value);
  output.replaceChildren();
  if (!a || !b || a === b) return;
  const link = add(add(output, "p", ""), "a", "Link to this comparison");
  link.href = `#${new URLSearchParams({ a, b })}`;
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
    const unranked = count("not ranked") ? `, not ranked in ${count("not ranked")}` : "";
    const heading = add(body.insertRow(), "th", `${title}: ${a} is better in ${count(a)}, ${b} in ${count(b)}, unclear in ${count("unclear")}${unranked}`);
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
  if (!view) return;
  const figure = document.getElementById("view");
  figure.innerHTML = data.views[view.value];
  const link = add(add(figure.querySelector("figcaption"), "p", ""), "a", "Link to this picture");
  link.href = `#view=${view.value}`;
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

function save(name, value) {
  stated.delete(name);
  if (value) stated.set(name, value);
  history.replaceState(null, "", `#${stated}`);
}

/** The same for all spellings of a name: links outlive its capitals, and what mail programs make of spaces and +. */
function plain(name) {
  return name.toLowerCase().replace(/[\s+_-]+/g, "");
}

/** Sets what a part of the address names. Gives its value as this page has it, null where it has none. */
function choose(name, value) {
  if (name === "row") return Object.hasOwn(data.rows, value) ? value : null;
  if (name === "sort") return document.querySelector(`th [data-key="${CSS.escape(value.replace("-", ""))}"]`) && value;
  const control = controls.find((each) => each.name === name);
  if (!control) return null;
  const known = [...(control.options ?? [{ value }])].map((option) => option.value);
  const alike = known.filter((each) => plain(each) === plain(value));
  const found = known.includes(value) ? value : alike.length === 1 ? alike[0] : null;
  if (found !== null) control.value = found;
  return found;
}

/** What is said of parts of the address that this page does not have. */
function regret(missing) {
  const words = { row: "row", view: "picture", sort: "column to sort by", a: "method to compare", b: "method to compare" };
  const label = (name) => controls.find((each) => each.name === name)?.closest("label").firstChild.data.trim().toLowerCase();
  const kind = (name) => (Object.hasOwn(words, name) ? words[name] : (label(name) ?? `part “${name}”`));
  const parts = missing.map(([name, value]) => `${kind(name)}${value && ` “${value}”`}`);
  notice.textContent = `The address asks for what this page does not have: ${parts.join(", ")}. ${data.about}`;
  notice.hidden = false;
}

/** Shows a part of the page, whatever it is folded into. */
function reveal(place) {
  for (const folded of place.closest("section")?.querySelectorAll(":scope > details") ?? []) folded.open = true;
  place.scrollIntoView();
}

/** Makes the page what the address says, and goes to what it says last. */
function load() {
  const address = location.hash.slice(1);
  notice.hidden = true;
  const isRow = Object.hasOwn(data.rows, address);
  const place = isRow ? null : document.getElementById(address);
  if (place) return reveal(place); // a link of the contents: the view stays
  const asked = [...new URLSearchParams(isRow ? { row: address } : address)];
  for (const body of document.querySelectorAll("tbody:has(> .detail)")) toggle(body, false);
  for (const control of controls) control.value = "";
  for (const select of controls.filter((control) => control.options)) select.selectedIndex = 0;
  const found = asked.map(([name, value]) => [name, choose(name, value)]);
  const known = found.filter(([, value]) => value !== null);
  stated = new URLSearchParams(view ? { view: view.value } : {});
  for (const [name, value] of known) {
    stated.delete(name);
    stated.set(name, value);
  }
  for (const update of [draw, compare, sort, filter]) update();
  const row = document.getElementById(stated.get("row") ?? "");
  if (row) {
    if (row.classList.contains("beyond")) row.closest("table").classList.add("whole");
    filter();
    row.hidden = row.closest("section").hidden = false; // cited, whatever is filtered
    toggle(row, true);
  }
  if (known.length < asked.length) {
    regret(asked.filter((_, i) => found[i][1] === null));
    return reveal(notice);
  }
  const last = asked.at(-1)?.[0];
  const places = { view: "sizes", a: "compare", b: "compare", row: row?.id };
  if (last) reveal(document.getElementById(places[last] ?? "filters"));
}

async function start() {
  data = await unpack();
  complete();
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  for (const update of [draw, compare, sort, filter]) update();
  load();
  addEventListener("hashchange", load);
  document.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("input", ({ target }) => {
    ({ view: draw, a: compare, b: compare })[target.name]?.();
    if (filters.contains(target)) filter();
    save(target.name, target.value);
  });
  filters.addEventListener("reset", () =>
    setTimeout(() => {
      filter();
      for (const { name } of filters.querySelectorAll("[name]")) save(name, "");
    }),
  );
  for (const table of boards) {
    table.closest("section").querySelector(".more button").addEventListener("click", () => {
      table.classList.toggle("whole");
      filter();
      if (!table.classList.contains("whole")) table.closest("section").scrollIntoView();
    });
    table.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (!button) return;
      const { key } = button.dataset;
      if (key) {
        save("sort", stated.get("sort") === key ? `-${key}` : key);
        return sort();
      }
      const body = button.closest("tbody");
      const open = button.getAttribute("aria-expanded") === "false";
      toggle(body, open);
      if (open || stated.get("row") === body.id) save("row", open ? body.id : "");
    });
  }
  document.documentElement.dataset.ready = "";
}

start();
