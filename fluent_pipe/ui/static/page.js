"use strict";
// What pages do beyond what they show without this: a run under way is asked again every second; two runs are ticked.

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
document.querySelectorAll("form[action='/compare']").forEach(onlyTwo);
