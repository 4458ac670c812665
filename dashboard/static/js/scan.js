// Scan station. A keyboard-wedge reader types a code and Enter; the focus never leaves the code field.

import { fill, h, loadTexts } from "./text.js";
import { openLive } from "./live.js";

const page = document.getElementById("scan");
const code = document.getElementById("code");
const message = document.getElementById("message");
const form = document.getElementById("enter");
const field = (name) => form.elements.namedItem(name);
let codes = [];
let waiting = Promise.resolve();
let doneTimer = 0;

const newKey = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
let key = newKey();

function tell(kind, text, hint = "") {
  message.hidden = !text;
  message.dataset.kind = kind;
  fill(message, text, hint ? h("span", { class: "hint" }, hint) : "");
}

async function post(path, content) {
  const answer = await fetch(path, {
    method: "POST",
    credentials: "same-origin",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(content),
  });
  return answer.json();
}

async function refresh(next) {
  const state = await post("/api/scan", { codes: next });
  if (!state.ok) {
    tell("problem", state.text, state.hint);
    return;
  }
  codes = state.codes;
  document.getElementById("prompt").textContent = state.prompt;
  page.dataset.step = state.step;
  if (state.problem) tell("problem", `${state.problem_code}: ${state.problem}`);
  else if (next.length) tell("", "");
  fill(
    document.getElementById("accepted"),
    state.accepted.map((one) => h("li", { "data-kind": one.kind }, h("span", { class: "kind" }, one.title), h("span", { class: "label" }, one.label))),
  );
  if (!state.actions.includes("enter")) closeForm();
  choices(state);
  running(state.running);
}

function choices(state) {
  const buttons = state.methods.flatMap((method) =>
    method.items.map((item) =>
      h(
        "button",
        { type: "button", class: "choice choice-start", "data-method": method.method, "data-item": item, on: { click: () => act({ action: "start", method: method.method, item }) } },
        h("strong", {}, `${page.dataset.start}: ${method.code} ${method.edition}`),
        item,
        method.authorised ? "" : h("span", { class: "warn" }, page.dataset.unauthorised),
      ),
    ),
  );
  const actions = state.actions.map((action, position) =>
    h(
      "button",
      { type: "button", class: position === 0 ? "choice choice-main" : "choice", "data-action": action, on: { click: () => (action === "enter" ? openForm(state.entry) : act({ action })) } },
      page.dataset[action],
    ),
  );
  const none = state.step === "method" && !buttons.length ? h("p", {}, page.dataset.noMethods) : "";
  fill(document.getElementById("choices"), buttons, actions, none);
}

/** Open the form for a reading entered by hand: what may be entered, and who signs it. */
function openForm(entry) {
  const option = (value, text) => h("option", { value }, text);
  fill(field("channel"), entry.channels.map((channel) => option(channel, channel)));
  fill(field("entry"), option("", "–"), entry.correctable.map((one) => option(one.seq, one.label)));
  field("deed").options[1].disabled = !entry.correctable.length;
  document.getElementById("entry-person").textContent = entry.person;
  showDeed();
  form.hidden = false;
  field("value").focus();
}

function closeForm() {
  form.hidden = true;
  form.reset();
}

/** A correction names an entry, which has its channel; a new reading names its channel. */
function showDeed() {
  const corrects = field("deed").value === "correct";
  field("channel").closest("label").hidden = corrects;
  field("entry").closest("label").hidden = !corrects;
}

function running(tasks) {
  const lines = tasks.map((task) =>
    h(
      "li",
      { "data-task": task.task },
      h("button", { type: "button", class: "plain", on: { click: () => scan(task.task) } }, task.task),
      ` ${task.sample ? page.dataset.sampleOf.replace("{sample}", task.sample) : ""} · ${task.instruments.join(", ")} · ${task.operators.join(", ")}`,
    ),
  );
  fill(document.getElementById("running"), lines.length ? lines : h("li", { class: "quiet" }, page.dataset.noRunning));
}

async function act(what) {
  const answer = await post("/api/scan/act", { ...what, codes, key, station: "scan" });
  if (answer.ok) {
    key = newKey();
    closeForm();
    await refresh([]);
    tell("done", answer.text);
    clearTimeout(doneTimer);
    doneTimer = setTimeout(() => refresh(codes), 1500);
  } else {
    tell("problem", answer.text, answer.hint);
  }
  rest();
}

/** The reader types into the code field, unless somebody is at the form. */
function rest() {
  if (form.hidden) code.focus();
}

/** Take one code: scans are followed one after another, so that a fast reader is never out of order. */
function scan(text) {
  waiting = waiting.then(() => refresh([...codes, text])).catch((error) => tell("problem", String(error)));
}

document.getElementById("scan-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = code.value.trim();
  code.value = "";
  if (text) scan(text);
});
form.addEventListener("submit", (event) => {
  event.preventDefault();
  act({ action: "enter", form: Object.fromEntries(new FormData(form)) });
});
field("deed").addEventListener("change", showDeed);
document.getElementById("enter-cancel").addEventListener("click", () => {
  closeForm();
  tell("", "");
  code.focus();
});
document.getElementById("clear").addEventListener("click", () => {
  key = newKey();
  tell("", "");
  waiting = waiting.then(() => refresh([]));
  code.focus();
});
// A station has no mouse work: whatever is clicked, the reader types into the field.
document.addEventListener("click", (event) => {
  if (!event.target.closest("a, button, input")) rest();
});
window.addEventListener("focus", rest);

// A code that is scanned while the page still loads waits for it: nothing of it is overtaken.
waiting = loadTexts()
  .then(() => refresh([]))
  .catch((error) => tell("problem", String(error)));
await waiting;
openLive({ view: "ledger" }, {
  ledger(content) {
    if (content.kinds.includes("task")) waiting = waiting.then(() => (message.dataset.kind === "problem" ? null : refresh(codes)));
  },
});
code.focus();
