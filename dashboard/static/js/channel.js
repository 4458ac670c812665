// Channel page: fetches what the span shows, follows live, lists every reading that did not pass.

import { durationText, fill, h, loadTexts, mark, say, timeText } from "./text.js";
import { openLive } from "./live.js";
import { makeChart } from "./chart.js";
import { asCorrected, columns, decodeSeries, emptySeries, flagged, joinLive, NAMES, spacing } from "./series.js";

const at = (id) => document.getElementById(id);
const page = at("channel");
const settings = JSON.parse(page.dataset.settings);
const path = `/api/channels/${encodeURIComponent(page.dataset.instrument)}/${encodeURIComponent(page.dataset.channel)}`;
const [SUSPECT, FAIL] = [3, 4];
const PAGE_ROWS = 25;
const REFETCH_S = 30; // late rows and verdicts that the live tail does not reach
const ALL_S = 50 * 366 * 86400;

let loaded = emptySeries(); // as the store has it: what the instrument showed, and corrected values
const model = { series: emptySeries(), data: { t: [], v: [] }, gaps: [], positions: [], settings, toLimits: true, xRange: [0, 1] };
let spanS = 600;
let zoom = null; // [from, to] in s of UTC, chosen by a person
let skewMs = 0;
let latestMs = settings.latest_ms;
let rowsFrom = 0;
let known = 0; // flagged readings announced so far
let chart = null;
let fetching = 0;

const nowS = () => (Date.now() + skewMs) / 1000;
const pointsMax = () => Math.min(4 * Math.max(at("chart").clientWidth, 400), 16000);

function span() {
  if (zoom) return zoom;
  // An instrument that went silent is looked at where it was, not where nothing is.
  const end = at("follow").checked || !latestMs ? nowS() : Math.max(latestMs / 1000, nowS() - spanS);
  return spanS ? [end - spanS, end] : [Math.max(0, end - ALL_S), end];
}

const ns = (seconds) => String(BigInt(Math.round(seconds * 1e6)) * 1000n);

async function load() {
  const turn = (fetching += 1);
  const [from, to] = span();
  const query = `from_ns=${ns(Math.max(from, 0))}&to_ns=${ns(to + 1)}`;
  try {
    const [points, gaps] = await Promise.all([
      fetch(`${path}/data?${query}&points=${pointsMax()}`, { credentials: "same-origin" }),
      fetch(`${path}/gaps?${query}`, { credentials: "same-origin" }),
    ]);
    if (!points.ok || !gaps.ok) throw new Error((await (points.ok ? gaps : points).json()).text);
    const series = decodeSeries(await points.arrayBuffer());
    const bands = await gaps.json();
    if (turn !== fetching) return; // a later request has overtaken this one
    loaded = series;
    model.gaps = bands;
  } catch (error) {
    at("summary").textContent = say("js", "page_failed", { error: error.message });
    return;
  }
  known = flagged(loaded).length;
  redraw();
  listGaps();
}

function redraw() {
  const [from, to] = span();
  at("corrected-tool").hidden = loaded.c === null;
  model.series = loaded.c !== null && at("corrected").checked ? asCorrected(loaded) : loaded;
  // Where nothing was recorded yet there is nothing to show: the span begins with the first reading or gap.
  const begins = [model.series.t[0], ...model.gaps.slice(0, 1).map((gap) => gap.from_ms / 1000)].filter(Number.isFinite);
  const first = begins.length ? Math.min(...begins) : from;
  model.xRange = zoom ? zoom : [Math.max(from, Math.min(first, to - 30)), to];
  const width = model.xRange[1] - model.xRange[0];
  model.data = columns(model.series, model.gaps, spacing(model.series, settings.interval_s, width, pointsMax()));
  model.positions = flagged(model.series);
  const words = { suspect: page.dataset.limitSuspect, fail: page.dataset.limitFail, channel: page.dataset.channel, unit: page.dataset.unit };
  if (chart === null) chart = makeChart(at("chart"), model, words, zoomTo);
  chart.draw();
  summarise();
  listFlagged();
}

function summarise() {
  const shown = model.series.t.length;
  const text = shown ? say("js", "points", { shown, flagged: model.positions.length }) : say("js", "no_points");
  at("summary").textContent = model.series.decimated ? `${text} · ${say("js", "decimated")}` : text;
}

function reasons(mask, flag) {
  const names = Object.entries(settings.rules).filter(([bit]) => (mask >> BigInt(bit)) & 1n);
  if (names.length) return names.map(([, title]) => title).join(", ");
  // Rules that need the future say their verdict in records of their own, without a bit on the reading.
  return flag === SUSPECT || flag === FAIL ? say("js", "afterwards", { rules: settings.future_rules.join(" / ") }) : "–";
}

function valueText(value) {
  if (!Number.isFinite(value)) return say("js", "no_value");
  const finer = model.series === loaded ? 0 : 1; // a correction is smaller than the last digit shown
  const text = settings.decimals === null ? String(value) : value.toFixed(settings.decimals + finer);
  return `${text} ${page.dataset.unit}`;
}

function listFlagged() {
  const newestFirst = [...model.positions].reverse();
  rowsFrom = Math.min(rowsFrom, Math.max(0, Math.floor((newestFirst.length - 1) / PAGE_ROWS) * PAGE_ROWS));
  const rows = newestFirst.slice(rowsFrom, rowsFrom + PAGE_ROWS).map((i) => {
    const name = NAMES[model.series.flag[i]] || "not_evaluated";
    return h(
      "tr",
      { "data-flag": name },
      h("td", { class: "time" }, timeText(model.series.t[i] * 1000, true)),
      h("td", { class: "number" }, valueText(model.series.v[i])),
      h("td", {}, mark(name, say("flag", name))),
      h("td", {}, reasons(model.series.reason[i], model.series.flag[i])),
    );
  });
  fill(at("flagged"), rows.length ? rows : h("tr", {}, h("td", { colspan: 4, class: "quiet" }, say("js", "none_flagged"))));
  const last = Math.min(rowsFrom + PAGE_ROWS, newestFirst.length);
  at("page-of").textContent = newestFirst.length ? say("js", "rows_of", { from: rowsFrom + 1, to: last, all: newestFirst.length }) : "";
  at("previous").disabled = rowsFrom === 0;
  at("next").disabled = last >= newestFirst.length;
}

function listGaps() {
  const rows = [...model.gaps].reverse().slice(0, PAGE_ROWS).map((gap) =>
    h(
      "tr",
      { "data-cause": gap.cause },
      h("td", { class: "time" }, timeText(gap.from_ms, true)),
      h("td", { class: "time" }, gap.ended ? timeText(gap.to_ms, true) : say("js", "gap_open")),
      h("td", {}, gap.cause_text),
      h("td", { class: "number" }, String(gap.polls)),
    ),
  );
  const more = model.gaps.length - rows.length;
  if (more > 0) rows.push(h("tr", {}, h("td", { colspan: 4, class: "quiet" }, say("js", "more", { number: more }))));
  fill(at("gaps"), rows.length ? rows : h("tr", {}, h("td", { colspan: 4, class: "quiet" }, "–")));
}

function zoomTo(from, to) {
  zoom = [from, to];
  at("follow").checked = false;
  load();
}

function takeLive(points) {
  skewMs = points.now_ms - Date.now();
  if (points.t_ms.length) latestMs = points.t_ms[points.t_ms.length - 1];
  if (!at("follow").checked) return;
  const [from] = span();
  loaded = joinLive(loaded, points, spanS ? from - 60 : 0);
  redraw();
  if (model.positions.length > known) at("announce").textContent = say("js", "new_flagged", { number: model.positions.length - known });
  known = model.positions.length;
}

function showAge() {
  if (!latestMs) return;
  const seconds = nowS() - latestMs / 1000;
  const stale = seconds > settings.stale_after_s;
  fill(at("age"), say("js", "age", { age: durationText(seconds) }), stale ? h("span", { class: "stale-badge" }, say("js", "stale")) : "");
}

for (const button of document.querySelectorAll("[data-span]")) {
  button.addEventListener("click", () => {
    spanS = Number(button.dataset.span);
    zoom = null;
    at("follow").checked = true;
    for (const other of document.querySelectorAll("[data-span]")) other.setAttribute("aria-pressed", String(other === button));
    load();
  });
}
at("chart").addEventListener("dblclick", () => {
  zoom = null;
  at("follow").checked = true;
  load();
});
at("follow").addEventListener("change", () => {
  if (at("follow").checked) zoom = null;
  load();
});
at("to-limits").addEventListener("change", () => {
  model.toLimits = at("to-limits").checked;
  redraw();
});
at("corrected").addEventListener("change", redraw);
at("previous").addEventListener("click", () => {
  rowsFrom = Math.max(0, rowsFrom - PAGE_ROWS);
  listFlagged();
});
at("next").addEventListener("click", () => {
  rowsFrom += PAGE_ROWS;
  listFlagged();
});

await loadTexts();
await load();
openLive({ channel: `${page.dataset.instrument}/${page.dataset.channel}` }, { points: takeLive }, (connected) => document.body.classList.toggle("page-stale", !connected));
setInterval(showAge, 1000);
setInterval(() => at("follow").checked && load(), REFETCH_S * 1000);
