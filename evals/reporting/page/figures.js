"use strict";
(() => {
  const page = JSON.parse(document.getElementById("page").textContent);
  const views = new Map();
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);

  // In place of the library's own, which writes HTML: what a chart shows of a model's name is text.
  function showTip(_handler, event, _item, value) {
    tip.hidden = value === null || value === undefined || value === "";
    if (tip.hidden) return;
    const lines = typeof value === "object" ? Object.entries(value).map(([name, one]) => `${name}: ${one}`) : [String(value)];
    tip.textContent = lines.join("\n");
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8))}px`;
    tip.style.top = `${Math.max(4, Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8))}px`;
  }

  async function draw() {
    for (const place of document.querySelectorAll("[data-figure]")) {
      const number = Number(place.dataset.figure);
      const { view } = await vegaEmbed(place, page.figures[number].chart, {
        ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: showTip, mode: "vega-lite", config: { background: "transparent" },
      });
      views.set(number, view);
    }
    document.body.dataset.drawn = String(views.size);
  }

  function save(name, blob) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  document.getElementById("figures").addEventListener("click", async (event) => {
    const button = event.target.closest("[data-save]");
    if (!button) return;
    const figure = page.figures[Number(button.dataset.of)];
    const view = views.get(Number(button.dataset.of));
    const name = `${page.file}-${figure.name}`;
    if (button.dataset.save === "csv") save(`${name}.csv`, new Blob([figure.csv], { type: "text/csv" }));
    if (button.dataset.save === "svg" && view) save(`${name}.svg`, new Blob([await view.toSVG()], { type: "image/svg+xml" }));
    if (button.dataset.save === "png" && view) {
      const canvas = await view.toCanvas(3);
      canvas.toBlob((blob) => save(`${name}.png`, blob), "image/png");
    }
  });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") tip.hidden = true; });
  draw();
})();
