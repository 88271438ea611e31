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

  const FONT = getComputedStyle(document.body).fontFamily; // the font that texts are measured in is the one they are drawn in
  const TEXT = 11;
  const SYMBOL = 34; // the width of a legend's symbol, and of what is left free around it and its label
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${TEXT}px ${FONT}`;

  const config = {
    background: "transparent",
    font: FONT,
    axis: { labelFontSize: TEXT, titleFontSize: TEXT, titleFontWeight: "normal", gridDash: [] },
    legend: { labelFontSize: TEXT },
  };

  // Legends begin at the left edge of the figure, one below the other: a setting of Vega that Vega-Lite leaves out.
  function patched(chart) {
    const layout = { top: { anchor: "start", bounds: "full", direction: "vertical" } };
    return { ...chart, config: { ...chart.config, legend: { ...chart.config?.legend, layout } } };
  }

  // The chart with legends and row labels that fit into `width` px.
  function fitted(value, width) {
    if (Array.isArray(value)) return value.map((part) => fitted(part, width));
    if (value === null || typeof value !== "object") return value;
    const made = Object.fromEntries(Object.entries(value).map(([name, part]) => [name, name === "datasets" ? part : fitted(part, width)]));
    if (made.legend?.columns && Array.isArray(made.scale?.domain)) {
      const limit = Math.min(made.legend.labelLimit, width - SYMBOL);
      const widest = Math.min(limit, Math.max(...made.scale.domain.map((label) => pen.measureText(String(label)).width)));
      const columns = Math.max(1, Math.min(made.scale.domain.length, Math.floor(width / (widest + SYMBOL))));
      made.legend = { ...made.legend, labelLimit: limit, columns };
    }
    if (made.axis?.labelLimit) made.axis = { ...made.axis, labelLimit: Math.min(made.axis.labelLimit, 0.45 * width) };
    return made;
  }

  async function draw(places) {
    for (const place of places) {
      if (!place.clientWidth) continue; // in a fold
      const number = Number(place.dataset.figure);
      views.get(number)?.finalize();
      const { view } = await vegaEmbed(place, fitted(page.figures[number].chart, place.clientWidth), {
        ast: true, renderer: "svg", actions: false, defaultStyle: false, tooltip: showTip, mode: "vega-lite", config, patch: patched,
      });
      views.set(number, view);
    }
    document.body.dataset.drawn = String(views.size);
  }

  const all = () => document.querySelectorAll("[data-figure]");
  for (const fold of document.querySelectorAll("details.series")) {
    fold.addEventListener("toggle", () => {
      if (fold.open) draw([...fold.querySelectorAll("[data-figure]")].filter((place) => !views.has(Number(place.dataset.figure))));
    });
  }
  let wide = window.innerWidth;
  let timer = 0;
  window.addEventListener("resize", () => {
    clearTimeout(timer);
    if (window.innerWidth !== wide) timer = setTimeout(() => { wide = window.innerWidth; draw(all()); }, 200);
  });

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
  draw(all());
})();
