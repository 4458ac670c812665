// Levey-Jennings chart in units of s: lines at ±1, 2, 3, the rule named on its point, a line where lot or version changes.
/* global uPlot */

import { language } from "./text.js";

const COLOURS = { pass: "#0072b2", suspect: "#e69f00", fail: "#b2182b", not_evaluated: "#c9ced6" };
const BEYOND = 4; // points further out are drawn at the edge, with their z in the table
const panel = document.getElementById("control");
const element = document.getElementById("plot");

function shape(ctx, name, x, y, r) {
  // disc, triangle, diamond, square: told apart without colour
  ctx.beginPath();
  if (name === "pass") ctx.arc(x, y, r * 0.8, 0, 2 * Math.PI);
  else if (name === "suspect") [[0, -1.15], [1.05, 0.8], [-1.05, 0.8]].forEach(([dx, dy]) => ctx.lineTo(x + dx * r, y + dy * r));
  else if (name === "fail") [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]].forEach(([dx, dy]) => ctx.lineTo(x + dx * r, y + dy * r));
  else ctx.rect(x - r * 0.8, y - r * 0.8, r * 1.6, r * 1.6);
  ctx.closePath();
}

function drawLines(u, lines) {
  const { ctx } = u;
  const { left, width } = u.bbox;
  ctx.save();
  for (const z of lines) {
    const y = u.valToPos(z, "y", true);
    ctx.strokeStyle = Math.abs(z) === 3 ? COLOURS.fail : Math.abs(z) === 2 ? "#8a6000" : z === 0 ? "#39444d" : "#c3cbd2";
    ctx.lineWidth = (Math.abs(z) === 1 ? 1 : 1.5) * devicePixelRatio;
    ctx.setLineDash(Math.abs(z) === 2 ? [7 * devicePixelRatio, 5 * devicePixelRatio] : []);
    ctx.beginPath();
    ctx.moveTo(left, y);
    ctx.lineTo(left + width, y);
    ctx.stroke();
  }
  ctx.restore();
}

function drawChanges(u, changes) {
  const { ctx } = u;
  const { top, height } = u.bbox;
  ctx.save();
  ctx.font = `${12 * devicePixelRatio}px sans-serif`;
  ctx.fillStyle = ctx.strokeStyle = "#475561";
  ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  for (const change of changes) {
    const x = u.valToPos(change.at - 0.5, "x", true);
    ctx.beginPath();
    ctx.moveTo(x, top);
    ctx.lineTo(x, top + height);
    ctx.stroke();
    ctx.fillText(change.text, x + 4 * devicePixelRatio, top + 3 * devicePixelRatio);
  }
  ctx.restore();
}

function drawPoints(u, points) {
  const { ctx } = u;
  const r = 5.4 * devicePixelRatio;
  ctx.save();
  ctx.font = `600 ${12 * devicePixelRatio}px sans-serif`;
  ctx.textAlign = "center";
  for (const point of points) {
    const known = Number.isFinite(point.z);
    const x = u.valToPos(point.n, "x", true);
    // A control without a value or a chart in force has no z: it stands at the foot, never on a line.
    const y = u.valToPos(known ? Math.max(-BEYOND, Math.min(BEYOND, point.z)) : -BEYOND, "y", true);
    shape(ctx, known ? point.mark : "not_evaluated", x, y, r);
    ctx.fillStyle = COLOURS[known ? point.mark : "not_evaluated"];
    ctx.fill();
    ctx.strokeStyle = "#2b2100";
    ctx.lineWidth = 1.2 * devicePixelRatio;
    ctx.stroke();
    if (!point.rules.length) continue;
    ctx.fillStyle = "#18222b";
    ctx.textBaseline = point.z >= 0 ? "bottom" : "top";
    ctx.fillText(point.rules.join(", "), x, y + (point.z >= 0 ? -1.6 : 1.6) * r);
  }
  ctx.restore();
}

function draw(content) {
  const points = content.points;
  element.replaceChildren();
  if (!points.length) {
    element.textContent = panel.dataset.none;
    return;
  }
  const size = () => ({ width: Math.max(element.clientWidth, 240), height: Math.max(element.clientHeight - 8, 200) });
  const grid = { show: false };
  const joined = points.map((point) => (Number.isFinite(point.z) ? Math.max(-BEYOND, Math.min(BEYOND, point.z)) : null));
  const plot = new uPlot({
    ...size(),
    legend: { show: false },
    cursor: { show: false },
    scales: { x: { time: false, range: () => [0.3, Math.max(points.length, 8) + 0.7] }, y: { range: () => [-BEYOND - 0.6, BEYOND + 0.6] } },
    axes: [
      { grid, stroke: "#475561", label: panel.dataset.point, incrs: [1, 2, 5, 10, 20, 50, 100] },
      { grid, stroke: "#475561", size: 52, splits: () => content.z_lines, values: (u, splits) => splits.map((z) => (z === 0 ? "0" : `${z > 0 ? "+" : "−"}${Math.abs(z)} s`)) },
    ],
    series: [{}, { stroke: "#6b7c89", width: 1.2, spanGaps: false, points: { show: false } }],
    hooks: {
      drawClear: [(u) => drawLines(u, content.z_lines)],
      draw: [(u) => drawChanges(u, content.changes), (u) => drawPoints(u, points)],
    },
  }, [points.map((point) => point.n), joined], element);
  new ResizeObserver(() => plot.setSize(size())).observe(element);
  element.dataset.points = String(points.length);
}

const answer = await fetch(`/api/charts/${encodeURIComponent(panel.dataset.chart)}?lang=${language}`, { credentials: "same-origin" });
const content = await answer.json();
if (answer.ok) draw(content);
else element.textContent = content.text;
