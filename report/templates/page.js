"use strict";
// Each entry is one tbody (its row and the row that opens), in the order of its keys in #data.
const data = JSON.parse(document.getElementById("data").textContent);
const form = document.querySelector("form");
const boards = [...document.querySelectorAll("table.board")].map((table) => {
  const entries = [...table.tBodies].map((body, i) => ({
    body,
    keys: data[table.dataset.board][i],
    text: body.textContent.toLowerCase(),
  }));
  return { table, entries };
});

// Values of different groups are not comparable: they never change places across groups.
const WITHIN_GROUP = ["rank", "best", "final"];

function compare(a, b, key, sign) {
  if (WITHIN_GROUP.includes(key) && a.group !== b.group) return a.group - b.group;
  const x = a[key];
  const y = b[key];
  if (x === y) return 0;
  if (x === null) return 1;
  if (y === null) return -1;
  return sign * (typeof x === "number" ? x - y : x.localeCompare(y, "en", { numeric: true }));
}

function sort({ table, entries }, button) {
  const heading = button.closest("th");
  const descending = heading.getAttribute("aria-sort") === "ascending";
  for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const sorted = [...entries].sort((a, b) => compare(a.keys, b.keys, button.dataset.key, descending ? -1 : 1));
  table.append(...sorted.map((entry) => entry.body));
}

function toggle(button) {
  const row = document.getElementById(button.getAttribute("aria-controls"));
  row.hidden = !row.hidden;
  button.setAttribute("aria-expanded", String(!row.hidden));
}

function filter() {
  const words = form.text.value.toLowerCase().split(/\s+/);
  let shown = 0;
  let all = 0;
  for (const { table, entries } of boards) {
    let here = 0;
    for (const { body, keys, text } of entries) {
      const fits = ["dataset", "protocol", "source"].every((name) => !form[name].value || form[name].value === keys[name]);
      body.hidden = !(fits && words.every((word) => text.includes(word)));
      here += !body.hidden;
    }
    table.closest("section").hidden = here === 0;
    shown += here;
    all += entries.length;
  }
  form.querySelector("output").textContent = `${shown} of ${all} rows`;
}

for (const board of boards) {
  board.table.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.key) sort(board, button);
    else toggle(button);
  });
}
form.addEventListener("input", filter);
form.addEventListener("reset", () => setTimeout(filter));
form.addEventListener("submit", (event) => event.preventDefault());
filter(); // a browser may restore the form after a reload
