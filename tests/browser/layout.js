// What a person would see as broken in pictures: labels that overlap, text that its picture cuts off, squashed images.
() => {
  const SLACK = 1; // pixels
  const faults = [];

  const words = (text) =>
    [...text.childNodes].filter((n) => n.nodeName !== "title").map((n) => n.textContent).join("").trim();

  const picture = (element) => {
    while (element.ownerSVGElement) element = element.ownerSVGElement;
    return element;
  };

  const name = (svg) => `in "${(svg.querySelector("title")?.textContent ?? "a picture").slice(0, 80)}"`;

  // Corners on the screen, so that turned labels are judged as they lie. A line's box has room above and below letters.
  const corners = (text) => {
    const box = text.getBBox();
    const top = box.y + 0.15 * box.height, bottom = box.y + 0.9 * box.height;
    return [[box.x, top], [box.x + box.width, top], [box.x + box.width, bottom], [box.x, bottom]].map(([x, y]) =>
      new DOMPoint(x, y).matrixTransform(text.getScreenCTM()));
  };

  // By how much two convex shapes overlap along the direction in which they do least.
  const overlap = (a, b) => {
    let least = Infinity;
    for (const shape of [a, b]) {
      for (let i = 0; i < 2; i++) {
        const dx = shape[i + 1].x - shape[i].x, dy = shape[i + 1].y - shape[i].y;
        const length = Math.hypot(dx, dy) || 1;
        const along = (points) => points.map((p) => (p.x * -dy + p.y * dx) / length);
        const [first, second] = [along(a), along(b)];
        least = Math.min(least, Math.max(...first) - Math.min(...second), Math.max(...second) - Math.min(...first));
      }
    }
    return least;
  };

  for (const svg of document.querySelectorAll("svg")) {
    if (picture(svg) !== svg) continue;
    const texts = [...svg.querySelectorAll("text")]
      .filter((t) => words(t) && t.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
      .map((t) => ({ words: words(t).slice(0, 40), corners: corners(t) }));
    const frame = svg.getBoundingClientRect();
    texts.forEach((text, i) => {
      const out = Math.max(...text.corners.map((p) =>
        Math.max(frame.left - p.x, p.x - frame.right, frame.top - p.y, p.y - frame.bottom)));
      if (out > SLACK) faults.push(`"${text.words}" sticks out by ${out.toFixed(0)} px ${name(svg)}`);
      for (const other of texts.slice(i + 1)) {
        if (overlap(text.corners, other.corners) > SLACK) {
          faults.push(`"${text.words}" and "${other.words}" overlap ${name(svg)}`);
        }
      }
    });
  }

  for (const image of document.images) {
    if (!image.checkVisibility()) continue;
    const what = `the image "${image.alt.slice(0, 80)}"`;
    if (!image.naturalWidth) faults.push(`${what} shows nothing`);
    else if (image.src.startsWith("data:image/svg") && Math.abs(image.clientWidth / image.naturalWidth - 1) > 0.02) {
      faults.push(`${what} is squashed: ${image.clientWidth} of ${image.naturalWidth} px`);
    }
  }
  return faults;
}
