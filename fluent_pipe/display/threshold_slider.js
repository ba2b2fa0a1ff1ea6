// Every threshold slider of the page shows what its model does at the threshold that is chosen.
for (const box of document.querySelectorAll("[data-threshold-slider]")) {
  if (box.dataset.thresholdSlider === "on") continue;
  box.dataset.thresholdSlider = "on";
  const stops = JSON.parse(box.querySelector("script[type='application/json']").textContent);
  const slider = box.querySelector("input[type=range]");
  const cells = [...box.querySelectorAll("[data-shows]")];
  const count = (n) => n.toLocaleString("en-US", { maximumFractionDigits: 2 });
  const share = (part, whole) => (whole > 0 ? part / whole : null);
  const show = () => {
    const [threshold, tp, fp, tn, fn] = stops[slider.value];
    const total = tp + fp + tn + fn;
    const counts = { tp, fp, tn, fn };
    const shares = {
      precision: share(tp, tp + fp),
      recall: share(tp, tp + fn),
      false_positive_rate: share(fp, fp + tn),
      accuracy: share(tp + tn, total),
    };
    slider.setAttribute("aria-valuetext", "threshold " + threshold);
    for (const cell of cells) {
      const name = cell.dataset.shows;
      if (name === "threshold") cell.textContent = threshold.toFixed(2);
      else if (name in shares) cell.textContent = shares[name] === null ? "–" : shares[name].toFixed(4);
      else if (name.startsWith("share of ")) {
        const part = share(counts[name.slice(9)], total) || 0;
        cell.textContent = (100 * part).toFixed(1) + "%";
        cell.parentElement.style.boxShadow = "inset " + 150 * part + "px 0 #4585c433";
      } else cell.textContent = count(counts[name]);
    }
  };
  slider.addEventListener("input", show);
  slider.closest("[hidden]").hidden = false;
  show();
}
