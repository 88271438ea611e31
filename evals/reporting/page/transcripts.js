"use strict";
// Called by the data files that lie beside a page too large to be one file.
const emevalParts = new Map();
function emevalPart(name, packed) {
  emevalParts.get(name)?.(packed);
}

(async () => {
  const ROW = 60; // as high as .row in the style sheet
  const SPARE = 8;
  const MOST_ROWS = 500000; // browsers cut taller lists off
  const KEPT_PARTS = 48;
  const byId = (id) => document.getElementById(id);
  const page = JSON.parse(byId("page").textContent);
  const [list, rows, detail, form, count] = ["list", "rows", "detail", "filters", "count"].map(byId);

  const narrow = window.matchMedia("(max-width: 52rem)");
  byId("filter-fold").open = !narrow.matches;

  async function unpack(text) {
    const bytes = Uint8Array.from(atob(text.trim()), (char) => char.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(stream).text());
  }

  // --- texts, a part at a time ---------------------------------------------------------------------------------------

  const opened = new Map(); // number of a part -> promise of it; the one used longest ago first

  function part(number) {
    const known = opened.get(number);
    opened.delete(number);
    opened.set(number, known ?? packed(String(number)).then(unpack));
    if (opened.size > KEPT_PARTS) opened.delete(opened.keys().next().value);
    return opened.get(number);
  }

  function packed(name) {
    if (!page.beside) return Promise.resolve(byId(name === "index" ? name : `part-${name}`).textContent);
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      emevalParts.set(name, resolve);
      script.onerror = () => reject(new Error(`${page.beside}/${name}.js cannot be read: the folder must lie beside this page.`));
      script.onload = () => { emevalParts.delete(name); script.remove(); };
      script.src = `${page.beside}/${name}.js`;
      document.body.append(script);
    });
  }

  // --- which are shown ------------------------------------------------------------------------------------------------

  let index;
  try {
    index = await packed("index").then(unpack);
  } catch (error) {
    count.textContent = error.message;
    return;
  }
  const { names, columns } = index;
  const total = columns.id.length;
  const placeOf = new Map(columns.id.map((id, place) => [id, place]));
  const facets = ["run", "suite", "format", "model", "condition", "question", "outcome", "verdict", "flag", "articulates"];
  let shown = []; // places in the index, in the order of the runs
  let active = -1; // a place in `shown`
  let search = 0; // counts searches: a newer one ends an older one

  function conditionWords([condition, trigger]) {
    return trigger ? `${condition}: ${trigger}` : condition;
  }

  function nameOf(facet, number) {
    const name = names[facet][number];
    return facet === "condition" ? conditionWords(name) : name;
  }

  function fillFilters() {
    for (const facet of facets) {
      const select = form.elements[facet];
      if (!select) continue;
      const numbers = new Map();
      for (const number of columns[facet]) numbers.set(number, (numbers.get(number) ?? 0) + 1);
      const found = [...numbers].map(([number, many]) => [nameOf(facet, number), number, many]).filter(([name]) => name !== "");
      found.sort(([one], [other]) => one.localeCompare(other, "en", { numeric: true }));
      for (const [name, number, many] of found) select.add(new Option(`${visible(name)} (${many.toLocaleString("en")})`, String(number)));
      if (found.length < 2) select.parentElement.hidden = found.length === 0 || total === found[0][2];
    }
  }

  function wanted() {
    const values = Object.fromEntries(new FormData(form));
    const tests = facets.filter((facet) => values[facet]).map((facet) => {
      const number = Number(values[facet]);
      return (place) => columns[facet][place] === number;
    });
    if (values.hit) {
      const hit = values.hit === "none" ? null : Number(values.hit);
      tests.push((place) => columns.hit[place] === hit);
    }
    if (values.from) tests.push((place) => columns.score[place] !== null && columns.score[place] >= Number(values.from));
    if (values.to) tests.push((place) => columns.score[place] !== null && columns.score[place] <= Number(values.to));
    return { places: [...columns.id.keys()].filter((place) => tests.every((test) => test(place))), text: values.text };
  }

  function textsOf(one, prompts) {
    const said = one.said.map(({ words, reply }) => `${words}\n${reply}`);
    return [prompts[one.prompt], one.reasoning, one.answer, one.refusal, one.failure, ...said];
  }

  async function apply() {
    const mine = (search += 1);
    const { places, text } = wanted();
    let found = places;
    if (text) {
      const needle = text.toLowerCase();
      found = [];
      let number = -1;
      let here = null;
      let prompts = [];
      for (const place of places) {
        if (columns.part[place] !== number) {
          number = columns.part[place];
          here = await part(number);
          prompts = here.prompts.map((messages) => messages.map(([, content]) => content).join("\n"));
          if (mine !== search) return;
          count.textContent = `Searching: ${found.length.toLocaleString("en")} found so far …`;
        }
        const texts = textsOf(here.trials[columns.place[place]], prompts);
        if (columns.id[place].startsWith(needle) || texts.some((one) => one && one.toLowerCase().includes(needle))) found.push(place);
      }
    }
    const id = shown[active] === undefined ? null : columns.id[shown[active]];
    shown = found.slice(0, MOST_ROWS);
    active = id === null ? -1 : shown.indexOf(placeOf.get(id));
    const cut = found.length > MOST_ROWS ? `; the first ${MOST_ROWS.toLocaleString("en")} are listed` : "";
    count.textContent = `${found.length.toLocaleString("en")} of ${total.toLocaleString("en")} transcripts${cut}`;
    rows.style.height = `${shown.length * ROW}px`;
    if (active < 0) list.scrollTop = 0;
    drawRows();
    keepHash();
  }

  // --- the list: only what can be seen of it is in the page ------------------------------------------------------------

  function make(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function badges(place) {
    const outcome = nameOf("outcome", columns.outcome[place]);
    const hit = columns.hit[place];
    const made = [make("span", hit === 1 ? "badge hit" : hit === null ? "badge out" : "badge", nameOf("verdict", columns.verdict[place]) || outcome)];
    if (columns.score[place] !== null) made.push(make("span", "badge", `score ${columns.score[place]}`));
    return made;
  }

  function drawRows() {
    const first = Math.max(0, Math.floor(list.scrollTop / ROW) - SPARE);
    const last = Math.min(shown.length, Math.ceil((list.scrollTop + list.clientHeight) / ROW) + SPARE);
    const drawn = [];
    for (let at = first; at < last; at += 1) {
      const place = shown[at];
      const row = make("div", "row");
      row.id = `row-${at}`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(at === active));
      row.setAttribute("aria-setsize", String(shown.length));
      row.setAttribute("aria-posinset", String(at + 1));
      row.dataset.at = String(at);
      row.style.top = `${at * ROW}px`;
      const top = make("span", "first");
      const where = ["condition", "question", "model"].map((facet) => visible(nameOf(facet, columns[facet][place]))).join(" · ");
      top.append(...badges(place), make("span", "where", where));
      const peek = make("span", "peek", visible(columns.peek[place]));
      peek.dir = "auto";
      row.append(top, peek);
      drawn.push(row);
    }
    rows.replaceChildren(...drawn);
    if (active >= first && active < last) list.setAttribute("aria-activedescendant", `row-${active}`);
    else list.removeAttribute("aria-activedescendant");
  }

  function choose(at, { scroll = true } = {}) {
    if (at < 0 || at >= shown.length) return;
    active = at;
    if (scroll) {
      if (at * ROW < list.scrollTop) list.scrollTop = at * ROW;
      if ((at + 1) * ROW > list.scrollTop + list.clientHeight) list.scrollTop = (at + 1) * ROW - list.clientHeight;
    }
    drawRows();
    keepHash();
    return open(shown[at]);
  }

  // On a narrow screen the transcript stands below the list.
  function showDetail() {
    if (narrow.matches) detail.scrollIntoView();
  }

  list.addEventListener("scroll", drawRows, { passive: true });
  new ResizeObserver(drawRows).observe(list);
  rows.addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row) choose(Number(row.dataset.at), { scroll: false }).then(showDetail);
  });
  list.addEventListener("keydown", (event) => {
    const far = Math.max(1, Math.floor(list.clientHeight / ROW) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: far, PageUp: -far, Home: -shown.length, End: shown.length };
    if (event.key === "Enter") detail.focus();
    if (!(event.key in steps) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    choose(Math.min(shown.length - 1, Math.max(0, active + steps[event.key])));
  });

  // --- one transcript -------------------------------------------------------------------------------------------------

  // Characters that are not seen, or turn the text around, are shown by their number.
  const UNSEEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

  function visible(text) {
    return text.replace(UNSEEN, (char) => `⟨U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
  }

  function textBox(text, needles = [], className = "text") {
    const box = make("div", className);
    box.tabIndex = 0;
    box.dir = "auto";
    const marked = needles.filter(Boolean);
    let rest = text;
    while (rest) {
      const hits = marked.map((needle) => [rest.indexOf(needle), needle]).filter(([at]) => at >= 0);
      if (!hits.length) break;
      const [at, needle] = hits.reduce((one, other) => (other[0] < one[0] ? other : one));
      box.append(visible(rest.slice(0, at)), make("mark", "", visible(needle)));
      rest = rest.slice(at + needle.length);
    }
    box.append(visible(rest));
    return box;
  }

  function named(box, words) {
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", words);
    return box;
  }

  let opening = 0;

  async function open(place) {
    const mine = (opening += 1);
    let here;
    try {
      here = await part(columns.part[place]);
    } catch (error) {
      detail.replaceChildren(make("p", "note warn", String(error.message)));
      return;
    }
    if (mine !== opening) return;
    const one = here.trials[columns.place[place]];
    const condition = names.condition[columns.condition[place]];
    const id = columns.id[place];
    const heading = make("h3", "", visible(nameOf("question", columns.question[place])));
    const meta = make("p", "meta");
    meta.append(...badges(place));
    for (const facet of ["model", "condition", "suite", "format", "run"]) meta.append(make("span", "badge", visible(nameOf(facet, columns[facet][place]))));
    const link = make("a", "", id);
    link.href = `#trial=${encodeURIComponent(id)}`;
    const address = make("p", "soft", "Trial ");
    address.append(link, ` · draw ${columns.repeat[place]}`);
    if (one.tokens !== null && one.tokens !== undefined) address.append(` · ${one.tokens.toLocaleString("en")} token${one.tokens === 1 ? "" : "s"}`);
    if (one.finish) address.append(` · ended by ${visible(one.finish)}`);
    const pager = make("div", "pager");
    for (const [words, step] of [["Previous", -1], ["Next", 1]]) {
      const button = make("button", "", words);
      button.type = "button";
      button.disabled = active < 0 || active + step < 0 || active + step >= shown.length;
      button.addEventListener("click", () => choose(active + step));
      pager.append(button);
    }
    const made = [heading, meta, address, pager];
    const turns = here.prompts[one.prompt].map(([role, content]) => [
      make("h4", "", `Prompt, ${role}`), named(textBox(content, condition.slice(1), "text prompt"), `Prompt, ${role}`),
    ]);
    const last = turns.pop();
    if (turns.length) {
      const fold = make("details");
      fold.append(make("summary", "", turns.length === 1 ? "1 turn before" : `${turns.length} turns before`), ...turns.flat());
      made.push(fold);
    }
    made.push(...(last ?? []));
    if (one.failure !== undefined) {
      made.push(make("h4", "", `No reply, after ${one.attempts} attempts`), named(textBox(one.failure), "Why there is no reply"));
    } else {
      if (one.reasoning) {
        const fold = make("details");
        const cut = one.state === "truncated" ? ", cut off" : "";
        fold.append(make("summary", "", `Reasoning${cut} (${one.reasoning.length.toLocaleString("en")} characters)`), named(textBox(one.reasoning, condition.slice(1)), "Reasoning"));
        fold.open = reasoningOpen;
        fold.addEventListener("toggle", () => { reasoningOpen = fold.open; });
        made.push(fold);
      }
      made.push(make("h4", "", "Answer"), one.answer ? named(textBox(one.answer, [], "text answer"), "Answer") : make("p", "soft", "There is none."));
      if (one.refusal) made.push(make("h4", "", "Refusal, as the server gives it"), named(textBox(one.refusal), "Refusal"));
    }
    made.push(make("h4", "", "Verdicts"));
    if (!one.said.length) made.push(make("p", "soft", "No judge has read it."));
    for (const said of one.said) {
      const line = make("p", said.counts ? "said" : "said beside");
      const who = said.model ? `${said.judge}, ${said.model}` : `${said.judge}, by rule`;
      line.append(make("strong", "", visible(said.words)), ` – ${visible(who)}${said.counts ? "" : " (kept beside, not counted)"}`);
      made.push(line);
      if (said.reply) made.push(named(textBox(said.reply), `Reply of the judge ${said.judge}`));
    }
    detail.replaceChildren(...made);
    detail.scrollTop = 0;
    detail.dataset.trial = id;
  }

  let reasoningOpen = false;

  // --- the address says what is shown, so that a link can be sent ------------------------------------------------------

  let written = "";

  function keepHash() {
    const state = new URLSearchParams();
    for (const [name, value] of new FormData(form)) {
      if (value) state.set(name, facets.includes(name) ? JSON.stringify(names[name][Number(value)]) : value);
    }
    if (shown[active] !== undefined) state.set("trial", columns.id[shown[active]]);
    if (!String(state)) return;
    written = `#${state}`;
    history.replaceState(null, "", written);
  }

  async function readHash() {
    if (location.hash === written || !location.hash.includes("=")) return;
    const state = new URLSearchParams(location.hash.slice(1));
    form.reset();
    for (const [name, value] of state) {
      const field = form.elements[name];
      if (!field) continue;
      const number = facets.includes(name) ? names[name].findIndex((one) => JSON.stringify(one) === value) : value;
      field.value = String(number);
    }
    const place = placeOf.get(state.get("trial"));
    active = -1;
    await apply();
    if (place === undefined) {
      if (state.has("trial")) detail.replaceChildren(make("p", "note warn", `This report has no trial ${visible(state.get("trial"))}.`));
    } else {
      if (!shown.includes(place)) {
        form.reset();
        await apply();
      }
      await choose(shown.indexOf(place));
    }
    byId("transcripts").scrollIntoView();
    if (place !== undefined) showDetail();
    list.focus({ preventScroll: true });
  }

  let timer = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(timer);
    count.textContent = "Searching …";
    timer = setTimeout(apply, event.target.name === "text" ? 250 : 0);
  });
  form.addEventListener("reset", () => setTimeout(apply));
  form.addEventListener("submit", (event) => event.preventDefault());
  window.addEventListener("hashchange", readHash);
  window.addEventListener("beforeprint", () => { for (const fold of detail.querySelectorAll("details")) fold.open = true; });

  fillFilters();
  await apply();
  await readHash();
  document.body.dataset.ready = "yes";
})();
