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
  const AXIS = 50; // of an axis of numbers
  const GAP = 16; // between row labels and the plot
  const MOST_LABEL = 0.48; // the share of the width that row labels take at most
  const pen = document.createElement("canvas").getContext("2d");
  pen.font = `${TEXT}px ${FONT}`;

  const config = {
    background: "transparent",
    font: FONT,
    axis: { labelFontSize: TEXT, titleFontSize: TEXT, titleFontWeight: "normal" },
    legend: { labelFontSize: TEXT },
    view: { stroke: null },
  };

  // Legends stand one below the other: a setting of Vega that Vega-Lite leaves out.
  function patched(chart) {
    const layout = { top: { anchor: "start", direction: "vertical" } };
    return { ...chart, config: { ...chart.config, legend: { ...chart.config?.legend, layout } } };
  }

  const widest = (labels, limit) => Math.min(limit, Math.max(...labels.map((label) => pen.measureText(String(label)).width)));
  const isNamed = (channel) => Array.isArray(channel?.scale?.domain) && typeof channel.scale.domain[0] === "string";

  // All channels of a chart and of its layers.
  function* channels(chart) {
    yield* Object.values(chart.encoding ?? {});
    for (const layer of chart.layer ?? []) yield* channels(layer);
  }

  // The chart with row labels and legends that fit into `width` px. Legends begin where the plot does, to the right of the row labels.
  function fitted(chart, width) {
    const made = structuredClone(chart);
    let left = AXIS;
    for (const { axis, scale } of [...channels(made)].filter((channel) => channel.axis?.labelLimit)) {
      axis.labelLimit = Math.min(axis.labelLimit, MOST_LABEL * width);
      if (isNamed({ scale })) left = Math.max(left, widest(scale.domain, axis.labelLimit) + GAP);
    }
    for (const { legend, scale } of [...channels(made)].filter((channel) => channel.legend && isNamed(channel))) {
      legend.labelLimit = Math.min(legend.labelLimit, width - left - SYMBOL);
      const column = widest(scale.domain, legend.labelLimit) + SYMBOL;
      legend.columns = Math.max(1, Math.min(scale.domain.length, Math.floor((width - left) / column)));
    }
    return made;
  }

  async function draw(places) {
    for (const place of places) {
      if (place.closest("details:not([open])")) continue;
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
