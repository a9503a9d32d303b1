// Charts: scales, axes, curves and marks, as SVG.

const FONT = 12;
/** How lines are told apart without their colors. */
const DASHES = [null, "7 4", "2 3", "10 3 2 3", "5 2", "1 4", "12 4", "8 2 2 2 2 2"];
const SHAPES = ["circle", "square", "triangle", "diamond", "cross", "drop", "plus", "bar"];

/** Outline of a mark around a place. */
function shape(kind, x, y, r = 3.4) {
  const [l, t, d] = [x - r, y - r, 2 * r];
  switch (kind) {
    case "square": return `M${l} ${t}h${d}v${d}h${-d}z`;
    case "triangle": return `M${x} ${y - r * 1.2}l${r * 1.2} ${r * 2.1}h${-r * 2.4}z`;
    case "drop": return `M${x} ${y + r * 1.2}l${r * 1.2} ${-r * 2.1}h${-r * 2.4}z`;
    case "diamond": return `M${x} ${y - r * 1.3}l${r * 1.3} ${r * 1.3}l${-r * 1.3} ${r * 1.3}l${-r * 1.3} ${-r * 1.3}z`;
    case "cross": return `M${l} ${t}l${d} ${d}M${l} ${y + r}l${d} ${-d}`;
    case "plus": return `M${x} ${t}v${d}M${l} ${y}h${d}`;
    case "bar": return `M${l} ${y - 1.3}h${d}v2.6h${-d}z`;
    default: return `M${l} ${y}a${r} ${r} 0 1 0 ${d} 0a${r} ${r} 0 1 0 ${-d} 0z`;
  }
}
const isOpen = (kind) => kind === "cross" || kind === "plus";

/** Lowest and highest of the finite values, of the positive ones alone for a logarithmic axis; null without any. */
function extent(values, log = false) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (typeof value !== "number" || !Number.isFinite(value) || (log && value <= 0)) continue;
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return low <= high ? [low, high] : null;
}

/** Whether values are better seen on a logarithmic axis: all are positive, and so far apart. */
function prefersLog(values, far = 20) {
  const all = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  const ends = extent(all);
  return ends !== null && ends[0] > 0 && ends[1] / ends[0] > far;
}

const TRANSFORMS = {
  linear: [(v) => v, (v) => v],
  log: [Math.log10, (v) => 10 ** v],
  // Steps count from 0.
  steps: [(v) => Math.log10(v + 1), (v) => 10 ** v - 1],
};

/** A scale from values to places on the drawing. */
function scale(kind, ends, from, to) {
  let [low, high] = ends ?? (kind === "log" ? [0.1, 1] : [0, 1]);
  if (low === high) [low, high] = kind === "log" ? [low / 2, high * 2] : [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
  const [forth, back] = TRANSFORMS[kind];
  const [a, b] = [forth(low), forth(high)];
  const at = (value) => from + ((forth(value) - a) / (b - a)) * (to - from);
  const value = (place) => back(a + ((place - from) / (to - from)) * (b - a));
  return { at, value, low, high, kind, ticks: (n) => ticks(kind, low, high, n) };
}

/** A scale with room at both ends, so that no curve runs along the frame. */
function roomy(kind, ends, from, to) {
  if (ends === null) return scale(kind, ends, from, to);
  const [forth, back] = TRANSFORMS[kind];
  const [a, b] = [forth(ends[0]), forth(ends[1])];
  const room = (b - a) * 0.05;
  return scale(kind, [back(a - room), back(b + room)], from, to);
}

/** Round values between two ends, `n` at most or about. */
function ticks(kind, low, high, n) {
  if (kind === "linear") return linearTicks(low, high, n);
  const [first, last] = kind === "log" ? [Math.ceil(Math.log10(low) - 1e-9), Math.floor(Math.log10(high) + 1e-9)] : [0, Math.floor(Math.log10(high + 1))];
  const inside = (v) => v >= low * (1 - 1e-9) && v <= high * (1 + 1e-9);
  if (last - first >= 2) {
    const every = Math.ceil((last - first + 1) / n);
    const decades = [];
    for (let e = first; e <= last; e += every) decades.push(10 ** e);
    return (kind === "steps" ? [0, ...decades] : decades).filter(inside);
  }
  const fine = [];
  for (let e = first - 1; e <= last + 1; e += 1) for (const m of [1, 2, 5]) fine.push(m * 10 ** e);
  const found = fine.filter((v) => inside(v) && (kind === "log" || v >= 1));
  return found.length >= 2 && found.length <= 2 * n ? found : linearTicks(low, high, n);
}

function linearTicks(low, high, n) {
  const rough = (high - low) / Math.max(n, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * (1 - 1e-9));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i += 1) found.push(i * step);
  return found;
}

/** The ticks of a scale; whole numbers alone where its values are whole. */
const shownTicks = (of, n) => of.ticks(n).filter((v) => !of.isWhole || Math.abs(v - Math.round(v)) < 1e-9);

/** Label of a tick: no more digits than its neighbors need. On a logarithmic axis each has digits of its own. */
function tickLabel(value, all, kind = "linear") {
  if (kind !== "linear") return value >= 1000 && value < 1e6 ? whole(value) : number(value);
  const apart = all.length > 1 ? Math.min(...all.slice(1).map((v, i) => Math.abs(v - all[i]))) : Math.abs(value);
  const size = Math.max(...all.map(Math.abs));
  if (size >= 1e5 || (size < 1e-3 && size > 0) || apart < 1e-4) {
    if (value === 0) return "0";
    const digits = Math.max(0, Math.min(6, Math.floor(Math.log10(Math.abs(value)) + 1e-9) - Math.floor(Math.log10(apart) + 1e-9)));
    return Number(value.toExponential(digits)).toExponential().replace("e+", "e");
  }
  const decimals = Math.max(0, -Math.floor(Math.log10(apart) + 1e-9));
  return value >= 1e4 ? whole(Number(value.toFixed(0))) : String(Number(value.toFixed(Math.min(decimals, 6))));
}

/** Labels that leave room for each other along a line: a later one that would touch the one before is left out. */
function uncrowded(labels, room) {
  let end = -Infinity;
  return labels.filter(({ at, text }) => {
    const half = (text.length * FONT * 0.56) / 2;
    if (at - half < end) return false;
    end = at + half + room;
    return true;
  });
}

/** The frame of a panel with grid, ticks and the names of its axes. */
function frame(box, x, y, names) {
  const { left, top, right, bottom } = box;
  const across = shownTicks(x, Math.max(2, Math.floor((right - left) / 90)));
  const up = shownTicks(y, Math.max(2, Math.floor((bottom - top) / 45)));
  const lines = [
    ...up.map((v) => drawing("path", { class: "grid", d: `M${left} ${y.at(v)}H${right}` })),
    ...across.map((v) => drawing("path", { class: "grid", d: `M${x.at(v)} ${top}V${bottom}` })),
  ];
  const below = uncrowded(across.map((v) => ({ at: x.at(v), text: tickLabel(v, across, x.kind) })), 10);
  const labels = [
    ...up.map((v) => text(left - 7, y.at(v) + 4, tickLabel(v, up, y.kind), "end", "tick")),
    ...(names.x === null ? [] : below.map(({ at, text: label }) => text(at, bottom + 17, label, "middle", "tick"))),
  ];
  const titles = [text(left - 7 > 40 ? 4 : left, top - 12, names.y, "start"), names.x && text((left + right) / 2, bottom + 35, names.x, "middle")];
  return [lines, drawing("rect", { class: "axis", x: left, y: top, width: right - left, height: bottom - top }), labels, titles];
}

const text = (x, y, words, anchor = "start", kind = null) => drawing("text", { x, y, "text-anchor": anchor, class: kind }, words);

const place = (value) => Math.round(value * 100) / 100;

/** A line through points, with gaps where there is no number. `held` keeps each value until the next. */
function path(points, x, y, held = false) {
  let [d, isDown] = ["", false];
  let last = 0;
  for (const [px, py] of points) {
    if (typeof py !== "number" || !Number.isFinite(py) || (y.kind === "log" && py <= 0)) {
      isDown = false;
      continue;
    }
    const [atX, atY] = [place(x.at(px)), place(y.at(py))];
    if (isDown && held) d += `H${atX}`;
    d += isDown ? (held ? (atY === last ? "" : `V${atY}`) : `L${atX} ${atY}`) : `M${atX} ${atY}`;
    [isDown, last] = [true, atY];
  }
  return d;
}

/** Small picture of a line in a legend. */
function swatch(tint, dash, mark) {
  const line = dash !== undefined && drawing("path", { class: "curve", d: "M2 7H42", "stroke-dasharray": dash });
  const dot = mark && drawing("path", { class: isOpen(mark) ? "open" : "mark", d: shape(mark, 22, 7) });
  return drawing("svg", { class: tinted(tint), viewBox: "0 0 44 14", "aria-hidden": "true" }, line, dot);
}

/** A square of a color. */
const swatchOf = (tint) =>
  drawing("svg", { class: tinted(tint), viewBox: "0 0 14 14", style: "width:14px;height:14px", "aria-hidden": "true" },
    drawing("rect", { x: 1, y: 1, width: 12, height: 12, fill: "var(--tint)" }));

/** A mark of the guard at a place of a drawing. */
const badgeAt = (x, y, letter) =>
  drawing("g", {}, drawing("rect", { x: x - 7, y: y - 7, width: 14, height: 14, rx: 3, fill: "var(--ink)" }),
    drawing("text", { x, y: y + 4, "text-anchor": "middle", style: "fill:var(--paper);font-weight:600;font-size:11px" }, letter));

const badge = (letter) =>
  drawing("svg", { viewBox: "0 0 14 14", style: "width:14px;height:14px", "aria-hidden": "true" }, badgeAt(7, 7, letter));

/** A legend whose entries can be switched off and on. `change(names)` is called with the names of those that are off. */
function legend(entries, change) {
  const off = new Set();
  const one = ({ name, tint, dash, mark }) => {
    const made = button([swatch(tint, dash ?? null, mark), cut(name, 60)], () => {
      if (off.has(name)) off.delete(name);
      else off.add(name);
      made.setAttribute("aria-pressed", String(!off.has(name)));
      change(off);
    }, { "aria-pressed": "true", title: name });
    return made;
  };
  return element("div", { class: "legend", role: "group", "aria-label": "Lines that are shown" }, entries.map(one));
}

/** A legend of what cannot be switched off. */
const keys = (entries) =>
  element("div", { class: "legend" }, entries.map(([picture, words]) => element("span", { class: "key" }, picture, words)));

/** Charts that are drawn anew when the width of the page changes. */
const drawn = [];
const watcher = new ResizeObserver((entries) => {
  const resized = entries.map(({ target }) => drawn.find(({ node }) => node === target)).filter(Boolean);
  // Not while the sizes are being looked at: a drawing has a size of its own.
  requestAnimationFrame(() => resized.filter(({ node, width }) => Math.abs(width - node.clientWidth) > 1).forEach(({ node }) => node.redraw()));
});

/** The place of a chart; `draw(width)` answers its SVG. */
function chart(draw) {
  const node = element("div", { class: "chart" });
  const entry = { node, width: 0, draw: null };
  entry.draw = (width) => {
    entry.width = width;
    // On paper or out of sight there is no width yet: the drawing is scaled.
    node.replaceChildren(draw(width > 0 ? width : 900));
  };
  drawn.push(entry);
  watcher.observe(node);
  node.redraw = () => entry.draw(node.clientWidth);
  return node;
}

/** Draws all charts, once they have their place on the page. */
const drawAll = () => drawn.forEach(({ node }) => node.redraw());

/** The drawing of a chart with its text alternative. */
const canvas = (width, height, label, ...content) =>
  drawing("svg", { viewBox: `0 0 ${place(width)} ${place(height)}`, role: "img", "aria-label": label }, content);

/**
 * A chart of curves and marks over two axes.
 * `series`: { name, tint, points: [[x, y]...], dash, mark, held, fine, band: [[x, low, high]...], titles }.
 */
function plot({ label, x, y, series, height = 260, extra = () => [] }) {
  return chart((width) => {
    const box = { left: 62, top: 30, right: width - 14, bottom: height - 42 };
    const all = series().filter((one) => !one.hidden);
    const kindOf = (axis, values) => axis.kind ?? (prefersLog(values) ? "log" : "linear");
    const xs = all.flatMap((one) => one.points.map((point) => point[0]));
    const ys = all.flatMap((one) => [...one.points.map((point) => point[1]), ...(one.band ?? []).flatMap(([, low, high]) => [low, high])]);
    const [xKind, yKind] = [kindOf(x, xs), kindOf(y, ys)];
    const [sx, sy] = [roomy(xKind, x.ends ?? extent(xs, xKind === "log"), box.left, box.right), roomy(yKind, y.ends ?? extent(ys, yKind === "log"), box.bottom, box.top)];
    sx.isWhole = x.isWhole;
    const unit = (axis, kind) => (kind === "log" ? `${axis.name} (log scale)` : axis.name);
    return canvas(width, height, label(), frame(box, sx, sy, { x: unit(x, xKind), y: unit(y, yKind) }),
      all.map((one) => seriesOf(one, sx, sy, box)), extra(sx, sy, box));
  });
}

function seriesOf({ tint, points, dash, mark, held, fine, band, titles, line = true }, x, y, box) {
  const parts = [];
  const inside = (v) => Math.min(Math.max(v, box.top), box.bottom);
  if (band?.length > 1) {
    const high = band.map(([at, , v]) => `${place(x.at(at))} ${place(inside(y.at(v)))}`);
    const low = band.map(([at, v]) => `${place(x.at(at))} ${place(inside(y.at(v)))}`).reverse();
    parts.push(drawing("path", { class: "band", d: `M${high.join("L")}L${low.join("L")}z` }));
  }
  if (line) parts.push(drawing("path", { class: fine ? "curve fine" : "curve", d: path(points, x, y, held), "stroke-dasharray": dash }));
  points.forEach(([px, py], i) => {
    const isNumber = typeof py === "number" && Number.isFinite(py) && (y.kind !== "log" || py > 0);
    if (isNumber && !mark) return;
    if (!isNumber && py !== null) return;
    // What has diverged stands at the upper end.
    const [kind, at] = isNumber ? [mark, y.at(py)] : ["cross", box.top + 5];
    const title = titles?.[i] && drawing("title", {}, titles[i]);
    parts.push(drawing("path", { class: isOpen(kind) ? "open" : "mark", d: shape(kind, place(x.at(px)), place(at)) }, title));
  });
  return drawing("g", { class: tinted(tint) }, parts);
}
