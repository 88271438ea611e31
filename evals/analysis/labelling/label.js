"use strict";
const sample = JSON.parse(document.getElementById("sample").textContent);
const rows = sample.rows;
const words = ["yes", "no", "refused", "unsure"];
const keys = { y: "yes", n: "no", r: "refused", u: "unsure" };
const byId = (id) => document.getElementById(id);
const note = byId("note");
const choices = [...document.querySelectorAll("[data-label]")];

// By label id: { label, note }, "" for neither. Answers without either are not in it.
let said = {};
let place = 0;
const undone = [];
let isKept = true;
let isSaved = true;
let hasPlace = false;

function warn(text) {
  byId("warning").textContent = text;
  byId("warning").hidden = text === "";
}

function of(row) {
  return said[row.label_id] ?? { label: "", note: "" };
}

function put(row, change) {
  hasPlace = true;
  reread();
  const now = { ...of(row), ...change };
  if (now.label === "" && now.note === "") delete said[row.label_id];
  else said[row.label_id] = now;
  isSaved = false;
  keep();
}

// What the store holds may be of an older page or of anyone's making: only what a label can be is taken from it.
function readKept(text) {
  const found = {};
  const kept = JSON.parse(text);
  for (const row of rows) {
    const one = kept.said?.[row.label_id];
    const label = words.includes(one?.label) ? one.label : "";
    const written = typeof one?.note === "string" ? one.note : "";
    if (label !== "" || written !== "") found[row.label_id] = { label, note: written };
  }
  const at = rows.findIndex((row) => row.label_id === kept.at);
  return { found, at: Math.max(at, 0) };
}

function keep() {
  try {
    localStorage.setItem(sample.key, JSON.stringify({ said, at: rows[place].label_id }));
    if (!isKept) warn("");
    isKept = true;
  } catch {
    cannotKeep();
  }
}

// Another tab with the same page may have labelled meanwhile: what it kept is never written over with what was here
// before. Where this page cannot keep anything, what it holds is all there is.
function reread() {
  if (!isKept) return;
  try {
    const text = localStorage.getItem(sample.key);
    if (text !== null) said = readKept(text).found;
  } catch {
    // Broken by whatever wrote it: the next label puts it right.
  }
}

// A browser may tell a page that has just been opened late what was kept: it then goes where the reader stopped.
function refresh() {
  const before = JSON.stringify(said);
  const at = place;
  if (hasPlace) reread();
  else restore();
  if (place !== at) show();
  else if (JSON.stringify(said) !== before) {
    note.value = of(rows[place]).note;
    showState();
  }
}

// A page that is only opened leaves the store as it is.
function tryStore() {
  try {
    localStorage.setItem(`${sample.key}-try`, "");
    localStorage.removeItem(`${sample.key}-try`);
  } catch {
    cannotKeep();
  }
}

function cannotKeep() {
  isKept = false;
  warn("This browser does not keep what you label here: your labels are lost when the page closes. Download them before you leave.");
}

function restore() {
  try {
    const text = localStorage.getItem(sample.key);
    if (text === null) return;
    ({ found: said, at: place } = readKept(text));
    hasPlace = true;
    if (isKept) warn("");
  } catch {
    warn("What this browser kept of earlier labels could not be read. Nothing is labelled yet.");
  }
}

function labelled() {
  return rows.filter((row) => of(row).label !== "").length;
}

function announce(text) {
  byId("status").textContent = text;
}

function counted() {
  return `${labelled()} of ${rows.length} labelled`;
}

function showReference(parts) {
  const box = byId("reference");
  box.replaceChildren();
  parts.forEach((part, number) => {
    const heading = document.createElement("h3");
    heading.id = `reference-${number}`;
    heading.textContent = part.heading;
    const text = document.createElement("div");
    text.className = "text";
    text.tabIndex = 0;
    text.dir = "auto";
    text.setAttribute("role", "region");
    text.setAttribute("aria-labelledby", heading.id);
    text.textContent = part.text;
    box.append(heading, text);
  });
}

function showState() {
  const row = rows[place];
  const { label } = of(row);
  byId("bar").max = rows.length;
  byId("bar").value = labelled();
  byId("count").textContent = counted();
  byId("chip").hidden = label === "";
  byId("chip").textContent = label === "" ? "" : `Labelled ${label}`;
  for (const button of choices) button.setAttribute("aria-pressed", String(button.dataset.label === label));
  // Not `disabled`, which would take the focus away from the reader who has just pressed it.
  byId("previous").setAttribute("aria-disabled", String(place === 0));
  byId("next").setAttribute("aria-disabled", String(place === rows.length - 1));
  byId("unlabelled").setAttribute("aria-disabled", String(labelled() === rows.length));
  byId("undo").setAttribute("aria-disabled", String(undone.length === 0));
}

function show() {
  const row = rows[place];
  const guideline = sample.guidelines[row.metric];
  byId("place").textContent = `Answer ${place + 1} of ${rows.length}`;
  byId("question").textContent = row.question;
  byId("answer").textContent = row.answer;
  showReference(row.reference);
  byId("asks").textContent = guideline.asks;
  for (const word of words) byId(`says-${word}`).textContent = guideline[word];
  note.value = of(row).note;
  for (const text of document.querySelectorAll(".text")) text.scrollTop = 0;
  showState();
}

function go(to, spoken = "") {
  if (to < 0 || to >= rows.length) {
    announce(`${spoken}This is the ${to < 0 ? "first" : "last"} answer. ${counted()}.`);
    return;
  }
  hasPlace = true;
  reread();
  place = to;
  show();
  keep();
  // The arrow keys then scroll what is to be read.
  byId("answer").focus({ preventScroll: true });
  window.scrollTo(0, 0);
  announce(`${spoken}Answer ${place + 1} of ${rows.length}. ${counted()}.`);
}

function choose(label) {
  const row = rows[place];
  undone.push({ place, label: of(row).label });
  put(row, { label });
  const spoken = `Labelled ${label}. `;
  if (labelled() === rows.length) {
    showState();
    announce(`${spoken}All ${rows.length} are labelled. Download the labels with s.`);
  } else if (place === rows.length - 1) {
    showState();
    announce(`${spoken}This is the last answer, and ${counted()}. g goes to the next one without a label.`);
  } else {
    go(place + 1, spoken);
  }
}

function undo() {
  const last = undone.pop();
  if (last === undefined) {
    announce("Nothing to undo.");
    return;
  }
  put(rows[last.place], { label: last.label });
  go(last.place, "Undone. ");
}

function goToUnlabelled() {
  for (let step = 1; step <= rows.length; step += 1) {
    const to = (place + step) % rows.length;
    if (of(rows[to]).label === "") {
      go(to);
      return;
    }
  }
  announce(`All ${rows.length} are labelled.`);
}

// As `emeval` writes texts into CSV files: no spreadsheet runs them, and importing takes the mark away again.
function cell(text) {
  const plain = text.replaceAll("\0", "");
  const lines = plain.replace(/([\n\r\v\f\x1c-\x1e\x85\u2028\u2029])(?=[=+\-@\t\r＝＋－＠'])/g, "$1'");
  const safe = /^[=+\-@\t\r\n＝＋－＠']/.test(plain) ? `'${lines}` : lines;
  return `"${safe.replaceAll('"', '""')}"`;
}

function download() {
  const lines = rows.map((row) => [row.label_id, of(row).label, of(row).note].map(cell).join(","));
  const text = `\ufeff${["label_id,label,note", ...lines].join("\n")}\n`;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = sample.file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  isSaved = true;
  announce(`Downloaded ${sample.file}. ${counted()}.`);
}

for (const button of choices) button.addEventListener("click", () => choose(button.dataset.label));
byId("previous").addEventListener("click", () => go(place - 1));
byId("next").addEventListener("click", () => go(place + 1));
byId("unlabelled").addEventListener("click", goToUnlabelled);
byId("undo").addEventListener("click", undo);
byId("save").addEventListener("click", download);
note.addEventListener("input", () => {
  put(rows[place], { note: note.value });
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target === note) {
    if (event.key === "Escape") {
      event.preventDefault();
      byId("answer").focus({ preventScroll: true });
    }
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const actions = {
    j: () => go(place + 1),
    ArrowRight: () => go(place + 1),
    k: () => go(place - 1),
    ArrowLeft: () => go(place - 1),
    g: goToUnlabelled,
    z: undo,
    s: download,
    e: () => note.focus(),
  };
  // A key held down labels one answer, not all that follow.
  const isRepeat = event.repeat && !["j", "k", "ArrowRight", "ArrowLeft"].includes(key);
  const action = Object.hasOwn(keys, key) ? () => choose(keys[key]) : Object.hasOwn(actions, key) ? actions[key] : null;
  if (action === null) return;
  event.preventDefault();
  if (!isRepeat) action();
});

window.addEventListener("storage", (event) => {
  if (event.key === sample.key) refresh();
});
document.addEventListener("visibilitychange", refresh);
window.addEventListener("focus", refresh);

window.addEventListener("beforeunload", (event) => {
  if (!isKept && !isSaved) event.preventDefault();
});

restore();
show();
tryStore();
byId("answer").focus({ preventScroll: true });
