// Points of a channel: read from the exact binary form, joined with live ones, cut at gaps.

const MAGIC = "YAOSU-S1";
const [DECIMATED, CORRECTED] = [1, 2]; // bits of the head
export const PASS = 1;
export const MISSING = 9;
export const NAMES = { 1: "pass", 2: "not_evaluated", 3: "suspect", 4: "fail", 9: "missing" };

/** Read the binary columns: see `dashboard/trend.py`. */
export function decodeSeries(buffer) {
  const magic = new TextDecoder().decode(new Uint8Array(buffer, 0, 8));
  if (magic !== MAGIC) throw new Error(`not a series: ${magic}`);
  const head = new DataView(buffer);
  const n = head.getUint32(8, true);
  const times = new BigInt64Array(buffer, 16, n);
  const reasons = new BigInt64Array(buffer, 16 + 16 * n, n);
  const bits = head.getUint32(12, true);
  const corrected = bits & CORRECTED ? new Float64Array(buffer, 16 + 24 * n, n) : null;
  return {
    decimated: (bits & DECIMATED) !== 0,
    t: Array.from(times, (ns) => Number(ns / 1000n) / 1e6), // s, exact to the microsecond
    v: Array.from(new Float64Array(buffer, 16 + 8 * n, n)),
    reason: Array.from(reasons),
    c: corrected && Array.from(corrected), // null: no point has a corrected value
    flag: Array.from(new Uint8Array(buffer, 16 + (corrected ? 32 : 24) * n, n)),
  };
}

export function emptySeries() {
  return { decimated: false, t: [], v: [], c: null, reason: [], flag: [] };
}

/** Put live points in: they replace everything from `since_ms` on, for later rules may have flagged it. */
export function joinLive(series, live, keepFromS) {
  const since = live.since_ms / 1000;
  const end = series.t.findIndex((t) => t >= since);
  const cut = end === -1 ? series.t.length : end;
  const start = Math.max(0, series.t.findIndex((t) => t >= keepFromS));
  const keep = (column) => column.slice(Math.min(start, cut), cut);
  const numbers = (values) => values.map((value) => (value === null ? NaN : value));
  const none = (column) => column.map(() => NaN);
  return {
    decimated: series.decimated,
    t: [...keep(series.t), ...live.t_ms.map((ms) => ms / 1000)],
    v: [...keep(series.v), ...numbers(live.value)],
    c: series.c || live.corrected ? [...keep(series.c || none(series.v)), ...(live.corrected ? numbers(live.corrected) : none(live.value))] : null,
    reason: [...keep(series.reason), ...live.reason.map((mask) => BigInt(mask))],
    flag: [...keep(series.flag), ...live.flag],
  };
}

/**
 * Columns for uPlot. A null stands wherever the line must not go on: at a missing value, inside a gap that was
 * recorded, and where points lie further apart than they can without a gap.
 */
export function columns(series, gaps, spacingS) {
  const t = [];
  const v = [];
  const at = []; // position in the series, -1 for a break
  let gap = 0;
  for (let i = 0; i < series.t.length; i += 1) {
    if (i > 0) {
      const before = series.t[i - 1];
      while (gap < gaps.length && gaps[gap].to_ms / 1000 <= before) gap += 1;
      const inGap = gap < gaps.length && gaps[gap].from_ms / 1000 < series.t[i];
      if (inGap || series.t[i] - before > 3 * spacingS) {
        t.push((before + series.t[i]) / 2);
        v.push(null);
        at.push(-1);
      }
    }
    t.push(series.t[i]);
    v.push(Number.isFinite(series.v[i]) ? series.v[i] : null);
    at.push(i);
  }
  return { t, v, at };
}

/** The series with corrected values in place of what the instrument showed. */
export function asCorrected(series) {
  return { ...series, v: series.c || series.v };
}

/** Positions of everything that did not pass. */
export function flagged(series) {
  const positions = [];
  for (let i = 0; i < series.flag.length; i += 1) if (series.flag[i] !== PASS) positions.push(i);
  return positions;
}

/** Longest time between neighbours that is no gap: from the interval, or from the points themselves. */
export function spacing(series, intervalS, spanS, pointsMax) {
  const bucket = series.decimated ? (4 * spanS) / pointsMax : 0;
  if (intervalS) return Math.max(intervalS, bucket);
  const steps = [];
  for (let i = 1; i < series.t.length; i += 1) steps.push(series.t[i] - series.t[i - 1]);
  steps.sort((a, b) => a - b);
  return Math.max(steps[Math.floor(steps.length / 2)] || 1, bucket);
}
