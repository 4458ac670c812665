// The trend: line, limits, hatched gaps, and a glyph of its own shape for every reading that did not pass.
/* global uPlot */

import { parts, offsetText, say } from "./text.js";
import { NAMES } from "./series.js";

const COLOURS = { pass: "#0072b2", suspect: "#e69f00", fail: "#b2182b", missing: "#6e6e6e", notEvaluated: "#c9ced6", dark: "#39444d" };
const offsetMin = Number(document.documentElement.dataset.utcOffsetMin);

function hatch(context, colour) {
  const tile = document.createElement("canvas");
  tile.width = 10;
  tile.height = 10;
  const ink = tile.getContext("2d");
  ink.strokeStyle = colour;
  ink.lineWidth = 1.6;
  ink.beginPath();
  for (const shift of [-10, 0, 10]) {
    ink.moveTo(shift, 10);
    ink.lineTo(shift + 10, 0);
  }
  ink.stroke();
  return context.createPattern(tile, "repeat");
}

function drawGaps(u, gaps, nowS) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.beginPath();
  ctx.rect(left, top, width, height);
  ctx.clip();
  for (const gap of gaps) {
    const from = u.valToPos(gap.from_ms / 1000, "x", true);
    const to = u.valToPos(gap.ended ? gap.to_ms / 1000 : Math.max(gap.to_ms / 1000, nowS()), "x", true);
    if (to < left || from > left + width) continue;
    const wide = Math.max(to - from, devicePixelRatio);
    // A gap of a poll or two is narrower than its hatching: a pale stroke says that it is there.
    ctx.fillStyle = wide < 6 * devicePixelRatio ? "#d3d9de" : "#eef0f2";
    ctx.fillRect(from, top, wide, height);
    if (wide < 6 * devicePixelRatio) continue;
    ctx.fillStyle = hatch(ctx, "#9aa3ab");
    ctx.fillRect(from, top, wide, height);
    ctx.strokeStyle = COLOURS.missing;
    ctx.lineWidth = devicePixelRatio;
    ctx.strokeRect(from, top, wide, height);
  }
  ctx.restore();
}

function drawLimits(u, limits, words) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  ctx.save();
  ctx.font = `${12 * devicePixelRatio}px sans-serif`;
  for (const [key, value] of Object.entries(limits)) {
    const y = u.valToPos(value, "y", true);
    if (y < top || y > top + height) continue;
    const fails = key.startsWith("fail");
    ctx.strokeStyle = fails ? COLOURS.fail : "#8a6000";
    ctx.fillStyle = ctx.strokeStyle;
    ctx.lineWidth = (fails ? 1.6 : 1.2) * devicePixelRatio;
    ctx.setLineDash(fails ? [] : [7 * devicePixelRatio, 5 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
    ctx.textAlign = "left";
    ctx.textBaseline = key.endsWith("high") ? "bottom" : "top";
    ctx.fillText(`${fails ? words.fail : words.suspect} ${value}`, left + 6 * devicePixelRatio, y + (key.endsWith("high") ? -3 : 3) * devicePixelRatio);
  }
  ctx.restore();
}

const SHAPES = {
  // triangle, diamond, square: told apart without colour
  suspect(ctx, x, y, r) {
    ctx.moveTo(x, y - r * 1.15);
    ctx.lineTo(x + r * 1.05, y + r * 0.8);
    ctx.lineTo(x - r * 1.05, y + r * 0.8);
    ctx.closePath();
  },
  fail(ctx, x, y, r) {
    ctx.moveTo(x, y - r * 1.2);
    ctx.lineTo(x + r * 1.2, y);
    ctx.lineTo(x, y + r * 1.2);
    ctx.lineTo(x - r * 1.2, y);
    ctx.closePath();
  },
  not_evaluated(ctx, x, y, r) {
    ctx.rect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
  },
};
const FILLS = { suspect: COLOURS.suspect, fail: COLOURS.fail, not_evaluated: COLOURS.notEvaluated };

function drawMissing(ctx, x, top, height, pattern) {
  const wide = 5 * devicePixelRatio;
  const tall = 14 * devicePixelRatio;
  ctx.fillStyle = "#fff";
  ctx.fillRect(x - wide / 2, top + height - tall, wide, tall);
  ctx.fillStyle = pattern;
  ctx.fillRect(x - wide / 2, top + height - tall, wide, tall);
  ctx.strokeStyle = COLOURS.missing;
  ctx.lineWidth = devicePixelRatio;
  ctx.strokeRect(x - wide / 2, top + height - tall, wide, tall);
}

function drawFlagged(u, series, positions) {
  const { ctx } = u;
  const { left, top, width, height } = u.bbox;
  const r = 5.2 * devicePixelRatio;
  const pattern = hatch(ctx, COLOURS.missing);
  ctx.save();
  ctx.beginPath();
  ctx.rect(left - r, top - r, width + 2 * r, height + 2 * r);
  ctx.clip();
  for (const i of positions) {
    const x = u.valToPos(series.t[i], "x", true);
    if (x < left - r || x > left + width + r) continue;
    const name = NAMES[series.flag[i]] || "not_evaluated";
    if (name === "missing" || !Number.isFinite(series.v[i])) {
      drawMissing(ctx, x, top, height, pattern);
      continue;
    }
    // A reading beyond the scale is drawn at its edge: it is never out of sight.
    const y = Math.min(Math.max(u.valToPos(series.v[i], "y", true), top), top + height);
    ctx.beginPath();
    SHAPES[name](ctx, x, y, r);
    ctx.fillStyle = FILLS[name];
    ctx.fill();
    ctx.strokeStyle = name === "fail" ? "#5e0a15" : "#2b2100";
    ctx.lineWidth = 1.4 * devicePixelRatio;
    ctx.stroke();
  }
  ctx.restore();
}

function yRange(model) {
  return (u, low, high) => {
    let [from, to] = [low, high];
    if (from === null || to === null) [from, to] = [0, 1];
    const limits = Object.values(model.settings.limits);
    if (model.toLimits && limits.length) {
      from = Math.min(from, ...limits);
      to = Math.max(to, ...limits);
    }
    const room = (to - from || Math.abs(to) || 1) * 0.08;
    return [from - room, to + room];
  };
}

function axisTimes(u, splits) {
  const fine = splits.length > 1 && splits[1] - splits[0] < 1;
  return splits.map((s, i) => {
    const at = parts(s * 1000, offsetMin);
    const text = fine ? `${at.time}.${at.ms}` : at.time;
    return i === 0 || at.time.startsWith("00:00:00") ? `${text}\n${at.date}` : text;
  });
}

/**
 * Draw a model {series, data, gaps, positions, settings, toLimits, xRange} into an element.
 * `onZoom(from_s, to_s)` is called when a person selects a span.
 */
export function makeChart(element, model, words, onZoom) {
  const size = () => ({ width: Math.max(element.clientWidth, 240), height: Math.max(element.clientHeight - 44, 200) });
  const decimals = model.settings.decimals;
  const number = (value) => (value === null || value === undefined ? "–" : decimals === null ? String(value) : value.toFixed(decimals));
  const options = {
    ...size(),
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 7 } },
    scales: { x: { time: false, range: () => model.xRange }, y: { range: yRange(model) } },
    axes: [
      { values: axisTimes, size: 46, stroke: "#475561", grid: { stroke: "#edf0f2", width: 1 }, ticks: { stroke: "#c3cbd2" }, space: 110 },
      { size: 74, stroke: "#475561", grid: { stroke: "#edf0f2", width: 1 }, ticks: { stroke: "#c3cbd2" } },
    ],
    series: [
      { label: `${say("js", "at")} (${offsetText()})`, value: (u, s) => (s === null || s === undefined ? "–" : `${parts(s * 1000, offsetMin).time}.${parts(s * 1000, offsetMin).ms}`) },
      { label: words.channel, stroke: COLOURS.pass, width: 1.6, spanGaps: false, value: (u, value) => (value === null || value === undefined ? "–" : `${number(value)} ${words.unit}`), points: { show: (u) => (u.data[0].length < 120 ? undefined : false), size: 4, fill: COLOURS.pass } },
    ],
    hooks: {
      drawClear: [(u) => drawGaps(u, model.gaps, () => model.xRange[1])],
      draw: [(u) => drawLimits(u, model.settings.limits, words), (u) => drawFlagged(u, model.series, model.positions)],
      setSelect: [
        (u) => {
          if (u.select.width < 4) return;
          const from = u.posToVal(u.select.left, "x");
          const to = u.posToVal(u.select.left + u.select.width, "x");
          u.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
          onZoom(from, to);
        },
      ],
    },
  };
  element.replaceChildren();
  const plot = new uPlot(options, [model.data.t, model.data.v], element);
  new ResizeObserver(() => plot.setSize(size())).observe(element);
  return {
    draw() {
      plot.setData([model.data.t, model.data.v], false);
      plot.setScale("x", { min: model.xRange[0], max: model.xRange[1] });
    },
  };
}
