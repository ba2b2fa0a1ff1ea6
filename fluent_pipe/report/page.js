// The page reads well without this. It sorts and filters tables, and opens what is folded before it is printed.
"use strict";

const FEW_ROWS = 12; // a filter for fewer is in the way

/** What a cell sorts by: its exact number if it has one, else what its text begins with as a number, else the text. */
function keyOf(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  const text = (cell.title || cell.textContent).trim();
  const number = Number(text.replace(/[,%\s]/g, "").replace("\u2212", "-"));
  return text !== "" && !Number.isNaN(number) ? number : text.toLowerCase();
}

function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1; // numbers before words
}

function sortBy(table, header, column) {
  const body = table.tBodies[0];
  const down = header.getAttribute("aria-sort") === "ascending";
  const keyed = Array.from(body.rows, (row) => [keyOf(row, column), row]);
  keyed.sort((a, b) => {
    if (a[0] === "" || b[0] === "") return (a[0] === "") - (b[0] === ""); // what is missing comes last
    return down ? compare(b[0], a[0]) : compare(a[0], b[0]);
  });
  body.append(...keyed.map(([, row]) => row));
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", down ? "descending" : "ascending");
}

function makeSortable(table) {
  if (!table.tHead || !table.tBodies[0]) return;
  Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    button.addEventListener("click", () => sortBy(table, header, column));
    header.append(button);
  });
}

function makeFilter(table) {
  const rows = table.tHead && table.tBodies[0] ? Array.from(table.tBodies[0].rows) : [];
  if (rows.length <= FEW_ROWS) return;
  const input = document.createElement("input");
  input.type = "search";
  input.placeholder = `Filter ${rows.length} rows`;
  input.setAttribute("aria-label", input.placeholder);
  input.addEventListener("input", () => {
    const wanted = input.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
  const line = document.createElement("div");
  line.append(input);
  table.before(line);
}

for (const table of document.querySelectorAll("table.sortable")) makeSortable(table);
for (const table of document.querySelectorAll("table")) makeFilter(table);

let opened = [];
window.addEventListener("beforeprint", () => {
  opened = Array.from(document.querySelectorAll("details:not([open])"));
  for (const details of opened) details.open = true;
});
window.addEventListener("afterprint", () => {
  for (const details of opened) details.open = false;
});
