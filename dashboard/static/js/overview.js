// Overview: what the stream says, drawn; ages grow here, so that nothing looks fresh by itself.

import { durationText, fill, h, loadTexts, mark, say, shortTime } from "./text.js";
import { openLive } from "./live.js";

const at = (id) => document.getElementById(id);
const HAN = { people: "人", equipment: "机", material: "料", method: "法", environment: "环", measurement: "测" };
const PAGE_STALE_S = 10;
let state = null; // the last overview
let skewMs = 0; // server's clock minus this one
let receivedMs = 0;
let connected = false;

const nowMs = () => Date.now() + skewMs;

function trustItem(item) {
  return h(
    "article",
    { class: `trust-item trust-${item.state}`, "data-trust": item.id, "data-state": item.state },
    h("h2", {}, item.title, mark(item.state, say("state", item.state))),
    h("p", { class: "trust-value" }, item.value),
    h("p", { class: "trust-detail" }, item.detail, item.t_ms ? [" · ", shortTime(item.t_ms)] : ""),
  );
}

function verdict(items) {
  const of = (name) => items.filter((item) => item.state === name).map((item) => item.title).join(", ");
  for (const name of ["bad", "attention", "unknown"]) {
    if (of(name)) return mark(name, say("js", `verdict_${name}`, { items: of(name) }));
  }
  return mark("good", say("js", "verdict_good"));
}

function tile(element) {
  const word = element.status === "none" ? say("js", "no_task") : say("status", element.status);
  const kind = element.status === "none" ? "none" : `status-${element.status}`;
  return h(
    "article",
    { class: `tile tile-${element.status}`, "data-element": element.element, "data-status": element.status },
    h(
      "header",
      {},
      h("span", { class: "han", "aria-hidden": "true" }, HAN[element.element]),
      h("div", {}, h("h3", {}, say("element_name", element.element)), mark(kind, word)),
    ),
    element.reasons.map((reason) =>
      h("p", { class: "reason-line" }, reason.text, " ", h("a", { href: `/tasks/${encodeURIComponent(reason.task)}` }, reason.task)),
    ),
    element.more ? h("p", { class: "quiet" }, say("js", "more", { number: element.more })) : "",
    element.judged && !element.reasons.length ? h("p", { class: "quiet" }, say("js", "tasks_judged", { number: element.judged })) : "",
  );
}

function reading(instrument, channel) {
  const path = `/channels/${encodeURIComponent(instrument)}/${encodeURIComponent(channel.name)}`;
  const value = channel.value === undefined ? "" : (channel.value ?? say("js", "no_value"));
  const word = say("flag", channel.flag);
  return h(
    "a",
    { class: `reading reading-${channel.flag}`, href: path, title: `${channel.name}: ${word}`, "data-flag": channel.flag },
    h("span", { class: `mark mark-${channel.flag}` }, h("span", { class: "glyph", "aria-hidden": "true" }), h("span", { class: "sr" }, word)),
    h("span", { class: "reading-name" }, channel.name),
    value ? h("span", { class: "reading-value" }, value, channel.value ? ` ${channel.unit}` : "") : "",
    channel.corrected ? h("span", { class: "quiet" }, say("js", "corrected", { value: channel.corrected })) : "",
    // A reading older than the instrument's newest row tells its own age.
    channel.t_ms ? h("span", { class: "reading-age quiet", "data-t": channel.t_ms, "data-stale-after": channel.stale_after_s }) : "",
  );
}

function instrumentRow(instrument) {
  const channels = instrument.channels.map((channel) => reading(instrument.id, channel));
  return h(
    "tr",
    { "data-instrument": instrument.id, "data-t": instrument.t_ms, "data-stale-after": instrument.stale_after_s },
    h("td", {}, instrument.id, h("span", { class: "driver" }, instrument.driver, instrument.source === "simulated" ? ` · ${say("js", "simulated")}` : "")),
    h("td", {}, instrument.service_text || "–"),
    h("td", {}, h("div", { class: "readings" }, channels)),
    h("td", {}, mark(instrument.flag, say("flag", instrument.flag))),
    h("td", { class: "number age" }),
  );
}

function eventLine(event) {
  return h(
    "li",
    { "data-severity": event.severity },
    h("span", { class: "quiet" }, shortTime(event.t_ms)),
    mark(event.severity, event.severity_text),
    h("span", {}, event.text, h("span", { class: "other", lang: event.other_language }, event.other)),
  );
}

function draw() {
  fill(at("trust"), state.trust.map(trustItem));
  fill(at("elements"), state.elements.map(tile));
  const rows = state.instruments.map(instrumentRow);
  fill(at("instruments"), rows.length ? rows : h("tr", {}, h("td", { colspan: 5, class: "quiet" }, say("js", "no_instruments"))));
  fill(at("events"), state.events.length ? state.events.map(eventLine) : h("li", { class: "quiet" }, say("js", "no_events")));
  const counts = [say("js", "running_tasks", { number: state.tasks.running }), say("js", "held_tasks", { number: state.tasks.held })];
  at("task-counts").textContent = counts.join(" · ");
  grow();
}

/** Let ages grow; called every second whether anything was received or not. */
function grow() {
  if (!state) return;
  const old = !connected || Date.now() - receivedMs > PAGE_STALE_S * 1000 * 2 || Boolean(state.store_error);
  document.body.classList.toggle("page-stale", old);
  fill(at("trust-verdict"), old ? mark("bad", state.store_error || say("js", "verdict_stale")) : verdict(state.trust));
  for (const row of at("instruments").querySelectorAll("tr[data-instrument]")) {
    const t = row.dataset.t;
    const cell = row.querySelector(".age");
    if (!t) {
      cell.textContent = say("js", "never");
      continue;
    }
    const seconds = (nowMs() - Number(t)) / 1000;
    const stale = seconds > Number(row.dataset.staleAfter);
    row.classList.toggle("is-stale", stale);
    showAge(cell, seconds, stale);
  }
  for (const age of at("instruments").querySelectorAll(".reading-age")) {
    const seconds = (nowMs() - Number(age.dataset.t)) / 1000;
    showAge(age, seconds, seconds > Number(age.dataset.staleAfter));
  }
}

function showAge(place, seconds, stale) {
  fill(place, say("js", "age", { age: durationText(seconds) }), stale ? h("span", { class: "stale-badge" }, say("js", "stale")) : "");
}

await loadTexts();
const live = openLive(
  { view: "overview" },
  {
    overview(content) {
      state = content;
      skewMs = content.now_ms - Date.now();
      receivedMs = Date.now();
      draw();
    },
  },
  (now) => {
    connected = now;
    grow();
  },
);
setInterval(() => {
  // Comments keep a quiet stream alive without an event: what is shown is then still what is stored.
  if (connected && !live.silent()) receivedMs = Date.now();
  grow();
}, 1000);
