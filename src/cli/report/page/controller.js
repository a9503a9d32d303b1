// A controller: its card, how it was measured, what it does on a few tasks, and a map of its actions over two features.

/** Moves as exported controllers name them. */
const MOVE_NAMES = ["halve", "accept", "grow"];
/** Number of cells of the map along each axis, and of its table. */
const N_CELLS = 41;
const N_CELLS_OF_TABLE = 9;

/** Asks the networks of an exported controller: the mean of their Q-values, features confined to their ranges. */
class Networks {
  constructor({ networks, features, actions }) {
    Object.assign(this, { networks, ranges: features.map(({ low, high }) => [low, high]), nActions: actions.length });
  }

  qValues(features) {
    const confined = this.ranges.map(([low, high], i) => Math.min(Math.max(features[i], low), high));
    const mean = new Array(this.nActions).fill(0);
    for (const { layers, dueling } of this.networks) {
      let x = confined;
      layers.forEach(({ weight, bias }, layer) => {
        const isLast = layer === layers.length - 1;
        x = weight.map((row, unit) => {
          let sum = bias[unit];
          for (let i = 0; i < row.length; i += 1) sum += row[i] * x[i];
          return isLast ? sum : Math.max(0, sum);
        });
      });
      if (dueling) {
        const [value, ...advantages] = x;
        const average = advantages.reduce((a, b) => a + b) / advantages.length;
        x = advantages.map((advantage) => value + advantage - average);
      }
      x.forEach((q, i) => { mean[i] += q / this.networks.length; });
    }
    return mean;
  }
}

const argmax = (values) => values.reduce((best, value, i) => (value > values[best] ? i : best), 0);

class MapView {
  constructor(section, page) {
    const { exported, neutral, q_values: known } = section;
    const networks = new Networks(exported);
    Object.assign(this, { exported, networks, moveTints: page.moves, hasMedians: section.portrait.medians.length > 0 });
    this.medians = neutral;
    this.zero = neutral.map((_, i) => Math.min(Math.max(0, exported.features[i].low), exported.features[i].high));
    this.base = neutral;
    // What the program that made this page computes must come out here.
    const apart = Math.max(...networks.qValues(neutral).map((q, i) => Math.abs(q - known[i]) / Math.max(1, Math.abs(known[i]))));
    if (!(apart < 1e-4)) showError(`the Q-values of ${exported.name} differ from those of qgd by ${apart}`);
    this.values = ["lr", "weight_decay"].filter((value) => new Set(exported.actions.map((action) => action[value])).size > 1);
    this.sway = this.measureSway();
    const order = this.sway.map(({ i }) => i);
    [this.a, this.b] = [order[0], order[1] ?? order[0]];
    this.at = null;
  }

  moveOf(action, value) {
    return MOVE_NAMES.indexOf(this.exported.actions[action][value]);
  }

  factor(value, move) {
    const found = this.exported.actions.find((action) => action[value] === MOVE_NAMES[move]);
    return found && number(found[`${value}_factor`]);
  }

  named(i) {
    return this.exported.features[i].name;
  }

  /** Values of a feature over its range. */
  over(i, n) {
    const { low, high } = this.exported.features[i];
    return Array.from({ length: n }, (_, k) => low + ((high - low) * k) / (n - 1));
  }

  /** How far each feature, going through its range alone, moves the lead of the highest action over the lowest one. */
  measureSway() {
    const last = this.exported.actions.length - 1;
    const lead = (features) => {
      const q = this.networks.qValues(features);
      return q[last] - q[0];
    };
    const sway = this.exported.features.map((_, i) => {
      const leads = this.over(i, 15).map((value) => lead(this.base.map((v, k) => (k === i ? value : v))));
      const [low, high] = extent(leads);
      return { i, sway: high - low };
    });
    return sway.sort((p, q) => q.sway - p.sway || p.i - q.i);
  }

  state(x, y) {
    return this.base.map((v, i) => (i === this.a ? x : i === this.b ? y : v));
  }

  grid(n) {
    const [xs, ys] = [this.over(this.a, n), this.over(this.b, n)];
    return { xs, ys, actions: ys.map((y) => xs.map((x) => argmax(this.networks.qValues(this.state(x, y))))) };
  }

  build() {
    this.charts = this.values.map((value) => chart((width) => this.draw(value, Math.min(width, 560))));
    const change = (what) => {
      Object.assign(this, what);
      if (what.base) this.sway = this.measureSway();
      this.cells = null;
      this.at = null;
      this.redraw();
      this.details.refresh();
    };
    const options = this.exported.features.map(({ name }, i) => [String(i), name]);
    const bases = [["medians", this.hasMedians ? "their median on a few tasks" : "0"], ["zero", "0: nothing is known"]];
    const controls = element("div", { class: "controls" },
      choice("Across", options, String(this.a), (i) => change({ a: Number(i) })),
      choice("Up", options, String(this.b), (i) => change({ b: Number(i) })),
      this.hasMedians && choice("The others at", bases, "medians", (base) => change({ base: base === "zero" ? this.zero : this.medians })));
    this.readout = element("output", { "aria-live": "polite" });
    this.details = behind("actions by both features", [["feature up \\ across"], ...Array.from({ length: N_CELLS_OF_TABLE }, () => ["", true])], () => this.rows());
    this.tell();
    const note = `The action of the highest Q-value over two features, the others ${this.hasMedians ? "at their median over the decisions on the tasks of the table above" : "at 0"} (a choice below). Both go over the range that meta-training saw. With the map in focus the arrow keys move the cross, and what the networks say there stands below; a click does so, too. The rules around the networks (evidence before a halving, the guard, the bounds) are not in the map.`;
    const panels = element("div", { class: "panels", style: "grid-template-columns:repeat(auto-fill,minmax(min(100%,26rem),1fr))" }, [...this.charts]);
    return [figure("What it does, by two features", note, controls, panels, this.keys(), this.readout, this.details), this.swayFigure()];
  }

  keys() {
    const moves = [0, 1, 2].filter((move) => this.values.some((value) => this.factor(value, move)));
    return keys(moves.map((move) => {
      const pattern = newId("pattern");
      const picture = drawing("svg", { viewBox: "0 0 22 14", style: "width:22px;height:14px", "aria-hidden": "true" }, this.pattern(pattern, move),
        drawing("rect", { width: 22, height: 14, fill: `url(#${pattern})` }));
      const factors = this.values.map((value) => `${value === "lr" ? "lr" : "λ"} ×${this.factor(value, move)}`);
      return [picture, `${MOVE_NAMES[move]} (${factors.join(", ")})`];
    }));
  }

  /** Color and hatching of a move: down, flat, up. */
  pattern(id, move) {
    const lines = ["M-1 -1L9 9M-1 7L1 9M7 -1L9 1", null, "M-1 9L9 -1M-1 1L1 -1M7 9L9 7"][move];
    const ground = drawing("rect", { width: 8, height: 8, fill: "var(--tint)", "fill-opacity": move === 1 ? 0.25 : 0.8 });
    const hatch = lines && drawing("path", { d: lines, stroke: "var(--hatch)", "stroke-width": 1.2, "stroke-opacity": 0.75 });
    return drawing("pattern", { id, class: tinted(this.moveTints[move]), width: 8, height: 8, patternUnits: "userSpaceOnUse" }, ground, hatch);
  }

  draw(value, width) {
    this.cells ??= this.grid(N_CELLS);
    const { xs, ys, actions } = this.cells;
    const side = Math.min(width - 76, 440);
    const box = { left: 62, top: 30, right: 62 + side, bottom: 30 + side * 0.8 };
    const x = scale("linear", [xs[0], xs.at(-1)], box.left, box.right);
    const y = scale("linear", [ys[0], ys.at(-1)], box.bottom, box.top);
    const [w, h] = [(box.right - box.left) / N_CELLS, (box.bottom - box.top) / N_CELLS];
    const ids = [0, 1, 2].map(() => newId("move"));
    const outlines = ["", "", ""];
    actions.forEach((row, i) => {
      const bottom = box.bottom - i * h;
      for (let from = 0; from < row.length;) {
        const move = this.moveOf(row[from], value);
        let to = from;
        while (to < row.length && this.moveOf(row[to], value) === move) to += 1;
        outlines[move] += `M${place(box.left + from * w)} ${place(bottom)}h${place((to - from) * w)}v${place(-h - 0.2)}h${place(-(to - from) * w)}z`;
        from = to;
      }
    });
    const areas = outlines.map((d, move) => d && drawing("path", { d, fill: `url(#${ids[move]})` }));
    const names = { x: this.named(this.a), y: `${this.named(this.b)} (up)` };
    const what = value === "lr" ? "learning rate" : "weight decay λ";
    const title = text(box.right, box.top - 12, what, "end", "tick");
    const cross = this.cross(x, y, box);
    const label = `Map of the moves of the ${what} over ${names.x} and ${names.y}. Arrow keys move the cross.`;
    const node = canvas(Math.max(width, box.right + 14), box.bottom + 42, label, drawing("defs", {}, ids.map((id, move) => this.pattern(id, move))), areas, frame(box, x, y, names), title, cross);
    return this.listen(node, x, y, value);
  }

  cross(x, y, box) {
    const [atX, atY] = this.at ?? [this.base[this.a], this.base[this.b]];
    const [px, py] = [x.at(atX), y.at(atY)];
    return [this.at && drawing("path", { class: "cursor", d: `M${px} ${box.top}V${box.bottom}M${box.left} ${py}H${box.right}` }),
      drawing("circle", { cx: px, cy: py, r: 5, fill: "var(--paper)", stroke: "var(--ink)", "stroke-width": 2 })];
  }

  listen(node, x, y, value) {
    filled(node, { tabindex: 0, role: "application", "aria-roledescription": "map", class: "zoomable" }, []);
    const move = (at) => {
      const confine = (i, v) => Math.min(Math.max(v, this.exported.features[i].low), this.exported.features[i].high);
      this.at = [confine(this.a, at[0]), confine(this.b, at[1])];
      this.redraw();
      this.tell();
      this.charts[this.values.indexOf(value)].firstChild.focus();
    };
    node.addEventListener("pointerdown", (event) => {
      const around = node.getBoundingClientRect();
      const zoom = node.viewBox.baseVal.width / around.width;
      move([x.value((event.clientX - around.left) * zoom), y.value((event.clientY - around.top) * zoom)]);
      event.preventDefault();
    });
    node.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!by || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const [px, py] = this.at ?? [this.base[this.a], this.base[this.b]];
      move([px + (by[0] * (x.high - x.low)) / (N_CELLS - 1), py + (by[1] * (y.high - y.low)) / (N_CELLS - 1)]);
    });
    return node;
  }

  redraw() {
    this.charts.forEach((one) => one.redraw());
    this.tell();
  }

  said(action) {
    const moves = this.values.map((value) => `${value === "lr" ? "lr" : "λ"} ×${number(this.exported.actions[action][`${value}_factor`])}`);
    return moves.join(", ");
  }

  tell() {
    const [x, y] = this.at ?? [this.base[this.a], this.base[this.b]];
    const q = this.networks.qValues(this.state(x, y));
    const all = q.map((value, action) => `${this.said(action)}: ${number(value)}`).join("; ");
    const lines = [`At ${this.named(this.a)} ${number(x)}, ${this.named(this.b)} ${number(y)}: ${this.said(argmax(q))}.`, `Q-values: ${all}.`];
    this.readout.replaceChildren(...lines.map((line) => element("div", {}, line)));
  }

  rows() {
    const { xs, ys, actions } = this.grid(N_CELLS_OF_TABLE);
    const heading = [`${this.named(this.b)} \\ ${this.named(this.a)}`, ...xs.map(number)];
    return [heading, ...ys.map((y, i) => [number(y), ...actions[i].map((action) => this.said(action))]).reverse()];
  }

  swayFigure() {
    const picture = chart((width) => this.drawSway(width));
    this.charts.push(picture);
    const [first, last] = [this.said(0), this.said(this.exported.actions.length - 1)];
    const note = `By how much each feature, going through its range alone, changes Q(${last}) - Q(${first}), the others at the same values as above.`;
    const rows = () => this.sway.map(({ i, sway }) => [this.named(i), number(sway), this.exported.features[i].formula]);
    return figure("What sways it most there", note, picture, behind("all features, with their formulas", [["feature"], ["change", true], ["formula"]], rows));
  }

  drawSway(width) {
    const shown = this.sway.slice(0, 12);
    const most = Math.max(...shown.map(({ sway }) => sway), 1e-12);
    const longest = Math.max(...shown.map(({ i }) => this.named(i).length));
    const left = Math.min(longest * 7 + 14, width * 0.4);
    const room = width - left - 70;
    const bars = shown.map(({ i, sway }, row) => [
      text(left - 8, row * 22 + 16, cut(this.named(i), Math.floor(left / 6.5)), "end"),
      drawing("rect", { class: tinted(this.moveTints[2]), x: left, y: row * 22 + 4, width: Math.max((sway / most) * room, 1), height: 14, fill: "var(--tint)" }),
      text(left + (sway / most) * room + 6, row * 22 + 16, number(sway)),
    ]);
    const words = shown.slice(0, 5).map(({ i, sway }) => `${this.named(i)} ${number(sway)}`).join(", ");
    return canvas(width, shown.length * 22 + 6, `Features that sway it most: ${words}.`, bars);
  }
}

function portraitTable({ value, rows }) {
  if (rows.length === 0) return null;
  const phase = ({ shares, ratio }) => [shares.map((share) => (100 * share).toFixed(0)).join(" / "), `×${number(ratio)}`];
  const columns = [["run"], ["start", true], ["steps 0 to 63", true], [value, true], ["to half time", true], [value, true], ["second half", true], [value, true], ["loss", true]];
  const cells = rows.map((row) => [row.run, number(row.start), ...row.phases.flatMap(phase), `${number(row.losses[0])} to ${number(row.losses[1])}`]);
  return wideTable(`What it does on a few tasks of 800 steps: percent of halve / accept / ×1.25, and ${value} at the end of the phase over the ${value} it started with`, columns, cells);
}

function evaluationTable(rows, judged, rival) {
  if (rows.length === 0) return element("p", {}, "It was not measured on validation tasks; qgd evaluate measures it.");
  const columns = [["family"], ["tasks", true], ["median start", true], ["worst start", true], ["rival, median", true]];
  const ratio = (value) => (value === null ? "diverged" : value.toFixed(2));
  const cells = rows.map((row) => [row.family, row.n_tasks, ratio(row.tuned_ratio), ratio(row.worst_ratio), ratio(row.rival_median_ratio)]);
  return wideTable(`On validation tasks that meta-training never drew: final ${judged} + 0.01 over that of ${rival}; below 1 it ends lower`, columns, cells);
}

function cardTable({ exported }) {
  const { card, pace, features, networks, line_search: search } = exported;
  const values = { lr: "the learning rate", "weight-decay": "the weight decay λ", both: "learning rate and weight decay λ" };
  const decides = search ? `at every candidate of a line search from step ${search.memory} on`
    : `at each of the first ${pace.probe_steps} steps, then ${pace.fixed ? `every ${pace.fixed} steps` : `${pace.per_doubling} times per doubling of the step count`}`;
  const parents = card.parents.map((parent) => parent.name).join(" and ");
  const rows = [
    ["moves", values[exported.controls] ?? exported.controls],
    ["sees", counted(features.length, "feature")],
    ["decides", decides],
    ["networks", `${counted(networks.length, "network")} of ${networks[0].shape.join(" × ")} units${networks[0].dueling ? ", dueling" : ""}`],
    ["trained", `by qgd ${card.crate_version}, recipe ${card.recipe_hash}, seed ${card.seed}: ${counted(card.episodes, "net")}, ${counted(card.inner_steps, "inner step")}, ${counted(card.updates, "update")}`],
    ...(parents ? [["made of", `the networks of ${parents}`]] : []),
  ];
  return table("Its card", [[""], [""]], rows);
}

function controllerSection(section, page) {
  const { exported, portrait, judged, rival } = section;
  const content = [element("p", {}, exported.description), cardTable(section), evaluationTable(exported.card.evaluation, judged, rival), portraitTable(portrait), new MapView(section, page).build()];
  return { title: `Controller: ${exported.name}`, content };
}
