// Texts in the page's language, times as the server writes them, and elements without markup strings.

const root = document.documentElement;
export const language = root.dataset.lang;
const offsetMin = Number(root.dataset.utcOffsetMin);

let tables = {};

/** Load the texts of the page; every script waits for them before it writes anything. */
export async function loadTexts() {
  const answer = await fetch(`/api/messages?lang=${language}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(`texts: ${answer.status}`);
  tables = await answer.json();
}

/** Return a text with its placeholders filled. */
export function say(table, key, values = {}) {
  const text = (tables[table] || {})[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Make an element: h("td", {class: "x"}, "text", child). Text is always text. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") Object.entries(value).forEach(([event, call]) => element.addEventListener(event, call));
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Make a mark: shape, word and colour together. */
export function mark(kind, word) {
  return h("span", { class: `mark mark-${kind}` }, h("span", { class: "glyph", "aria-hidden": "true" }), word);
}

/** Replace what an element holds. */
export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
}

const two = (number, width = 2) => String(number).padStart(width, "0");

export function offsetText() {
  const size = Math.abs(offsetMin);
  return `${offsetMin < 0 ? "-" : "+"}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** Split an instant (ms of UTC) into the parts that are shown, shifted by `minutes`. */
export function parts(ms, minutes = 0) {
  const at = new Date(ms + minutes * 60000);
  return {
    date: `${at.getUTCFullYear()}-${two(at.getUTCMonth() + 1)}-${two(at.getUTCDate())}`,
    time: `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`,
    ms: two(at.getUTCMilliseconds(), 3),
  };
}

/** Write an instant as the server does: UTC, with local time and offset. */
export function timeText(ms, fraction = false) {
  if (ms === null || ms === undefined) return "–";
  const utc = parts(ms);
  const local = parts(ms, offsetMin);
  const rest = fraction ? `.${utc.ms}` : "";
  return `${utc.date} ${utc.time}${rest} UTC (${local.time} ${offsetText()})`;
}

/** Short form for lists of today's events: local time with offset in the title. */
export function shortTime(ms) {
  const utc = parts(ms);
  return h("time", { datetime: `${utc.date}T${utc.time}Z`, title: timeText(ms) }, `${utc.date.slice(5)} ${utc.time} UTC`);
}

/** Write a duration: the two units that matter are one too many, so one. */
export function durationText(seconds) {
  const s = Math.max(0, seconds);
  if (s < 10) return say("js", "seconds", { number: s.toFixed(1) });
  if (s < 120) return say("js", "seconds", { number: Math.floor(s) });
  if (s < 7200) return say("js", "minutes", { number: Math.floor(s / 60) });
  if (s < 172800) return say("js", "hours", { number: Math.floor(s / 3600) });
  return say("js", "days", { number: Math.floor(s / 86400) });
}
