"use strict";
// What a page does beyond what it shows without this file: a run under way is asked again every second, tables sort.

const EVERY = 1000;

function follow(box) {
  let missed = 0;
  const again = () => setTimeout(look, EVERY * Math.min(2 ** missed, 16));
  async function look() {
    if (document.hidden) return again();
    try {
      const answer = await fetch(box.dataset.live, { cache: "no-store" });
      if (!answer.ok) throw new Error(String(answer.status));
      if (answer.headers.get("X-Run-Under-Way") === "no") return location.reload();
      box.innerHTML = await answer.text(); // made, and escaped, by the same templates as this page
      missed = 0;
    } catch {
      missed += 1;
      if (missed === 3) {
        const words = document.createElement("p");
        words.className = "notice";
        words.setAttribute("role", "status");
        words.textContent = "No answer from this page's server; it is asked again.";
        box.prepend(words);
      }
    }
    again();
  }
  again();
}

function value(row, column) {
  const cell = row.cells[column];
  if (!cell) return "";
  const text = cell.dataset.value ?? (cell.title && !Number.isNaN(Number(cell.title)) ? cell.title : cell.textContent);
  const plain = text.trim().replace(/,/g, "");
  return plain !== "" && !Number.isNaN(Number(plain)) ? Number(plain) : text.trim();
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a.localeCompare(b);
}

function sortable(table) {
  const body = table.tBodies[0];
  if (!table.tHead || !body) return;
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "descending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      rows.sort((a, b) => (down ? compare(a[0], b[0]) : compare(b[0], a[0])));
      body.append(...rows.map(([, row]) => row));
    };
    head.tabIndex = 0;
    head.setAttribute("role", "columnheader button");
    head.addEventListener("click", sort);
    head.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      sort();
    });
  });
}

function onlyTwo(form) {
  const ticks = [...form.querySelectorAll("input[type=checkbox]")];
  const button = form.querySelector("button");
  const look = () => {
    const count = ticks.filter((tick) => tick.checked).length;
    button.disabled = count !== 2;
    for (const tick of ticks) tick.disabled = count === 2 && !tick.checked;
  };
  form.addEventListener("change", look);
  look();
}

document.querySelectorAll("[data-live]").forEach(follow);
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll("form[action='/compare']").forEach(onlyTwo);
