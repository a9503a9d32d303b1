// Training runs, laid over each other: loss, learning rate, weight decay, and what was done, over the steps.

const MOVES = ["halve", "accept", "×1.25"];
const [STEP, LOSS, LR, DECAY, LR_MOVE, DECAY_MOVE, REASON] = [0, 1, 2, 3, 4, 5, 6];
/** Letters of what the guard found. */
const LETTERS = { "non-finite": "N", "loss-exploded": "E", "loss-drifted": "D", "got-nowhere": "G", "first-step-too-far": "F" };
/** Height of a lane of the action strip. */
const LANE = 13;

/** Index of the last decision at or before a step; -1 before the first. */
function decisionAt(rows, step) {
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][STEP] <= step) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** What was done at a decision, in words. */
function doneAt(row, reasons) {
  const moves = [["lr", row[LR_MOVE]], ["λ", row[DECAY_MOVE]]];
  const moved = moves.filter(([, move]) => move !== null && move !== 1).map(([name, move]) => `${name} ${MOVES[move]}`);
  const done = row[LR_MOVE] === null ? "no action" : moved.join(", ") || "accept";
  return `${done} (${reasons[row[REASON]].name})`;
}

/** Everything of the runs that changes: which steps are shown, how, and which runs. */
class RunsView {
  constructor({ runs, reasons }, moves) {
    Object.assign(this, { runs, reasons, moveTints: moves, kind: "linear", off: new Set(), cursor: null, drag: null });
    const last = Math.max(...runs.map((run) => run.rows.at(-1)?.[STEP] ?? 0));
    this.whole = [0, Math.max(last, 1)];
    this.shown = this.whole;
    runs.forEach((run, i) => {
      run.dash = DASHES[i % DASHES.length];
      run.events = run.rows.filter((row) => reasons[row[REASON]].guard);
      run.movesDecay = run.rows.some((row) => row[DECAY_MOVE] !== null && row[DECAY_MOVE] !== 1);
      run.movesLr = run.rows.some((row) => row[LR_MOVE] !== null && row[LR_MOVE] !== 1);
      run.acts = run.rows.some((row) => row[LR_MOVE] !== null);
    });
    const decays = runs.flatMap((run) => run.rows.map((row) => row[DECAY]));
    this.hasDecay = decays.some((decay) => decay !== null && decay > 0);
  }

  get visible() {
    return this.runs.filter((run) => !this.off.has(run.name));
  }

  build() {
    this.chart = chart((width) => this.draw(width));
    this.readout = element("output", { "aria-live": "polite" });
    const help = "Drag over the chart to zoom in, double-click for the whole run. With the chart in focus: left and right go from decision to decision, with Shift they move the window; + and - zoom, 0 shows the whole run, G goes to the next decision of the guard.";
    const note = this.runs.some((run) => run.strip) ? "Of a run of more than 4\u202f000 decisions the extremes of each stretch are drawn, and the lanes show shares." : null;
    const entries = this.runs.map(({ name, tint, dash }) => ({ name, tint, dash }));
    const toggles = legend(entries, (off) => this.change({ off }));
    this.details = [
      ...this.runs.map((run) => behind(`decisions of ${run.name}`, this.columns(), () => this.rowsOf(run))),
    ];
    this.tell();
    return figure("Loss, learning rate and actions over the steps", note,
      element("p", { class: "faint help" }, help), this.controls(), toggles, this.chart, this.actionKeys(), this.readout, this.details);
  }

  controls() {
    const zoom = [
      button("Zoom in", () => this.zoom(0.5)),
      button("Zoom out", () => this.zoom(2)),
      button("◀ Earlier", () => this.pan(-0.5)),
      button("Later ▶", () => this.pan(0.5)),
      button("Whole run", () => this.change({ shown: this.whole })),
      this.runs.some((run) => run.events.length > 0) && button("Next guard event", () => this.nextEvent()),
    ];
    const kinds = [["linear", "evenly"], ["steps", "logarithmically"]];
    return element("div", { class: "controls" }, zoom, choice("Steps", kinds, "linear", (kind) => this.change({ kind })));
  }

  actionKeys() {
    const lanes = MOVES.map((move, i) => [swatchOf(this.moveTints[i]), move]);
    const found = new Set(this.runs.flatMap((run) => run.events.map((row) => row[REASON])));
    const events = [...found].sort((a, b) => a - b).map((i) => [badge(LETTERS[this.reasons[i].name] ?? "!"), this.reasons[i].about]);
    return keys([...(this.runs.some((run) => run.acts) ? lanes : []), ...events]);
  }

  change(what) {
    Object.assign(this, what);
    this.chart.redraw();
    this.tell();
    this.details.forEach((details) => details.refresh());
  }

  /** A stretch of steps, inside of the whole run, at least a few steps long. */
  window(low, high) {
    const [first, last] = this.whole;
    const [forth, back] = TRANSFORMS[this.kind];
    const length = Math.min(Math.max(forth(high) - forth(low), (forth(last) - forth(first)) * 1e-4), forth(last) - forth(first));
    const start = Math.min(Math.max(forth(low), forth(first)), forth(last) - length);
    this.change({ shown: [Math.max(first, back(start)), Math.min(last, back(start + length))] });
  }

  zoom(factor) {
    const [forth, back] = TRANSFORMS[this.kind];
    const [low, high] = this.shown.map(forth);
    const inside = this.cursor !== null && this.cursor >= this.shown[0] && this.cursor <= this.shown[1];
    const middle = inside ? forth(this.cursor) : (low + high) / 2;
    const around = (end) => back(middle + (end - middle) * factor);
    // A zoom out around a place at the rim still shows more on both sides.
    this.window(around(low), around(high));
  }

  pan(share) {
    const [forth, back] = TRANSFORMS[this.kind];
    const [low, high] = this.shown.map(forth);
    const by = (high - low) * share;
    this.window(back(low + by), back(high + by));
  }

  /** Moves the cursor to a step, and the window along with it. */
  go(step) {
    this.cursor = step;
    const [low, high] = this.shown;
    if (step >= low && step <= high) return this.change({});
    const half = (high - low) / 2;
    this.window(step - half, step + half);
  }

  nextDecision(forward) {
    const steps = this.visible.flatMap((run) => {
      const at = decisionAt(run.rows, this.cursor ?? this.shown[0] - 1);
      const same = run.rows[at]?.[STEP] === this.cursor ? 1 : 0;
      return [forward ? run.rows[at + 1] : run.rows[at - same]].filter(Boolean).map((row) => row[STEP]);
    });
    if (steps.length > 0) this.go(forward ? Math.min(...steps) : Math.max(...steps));
  }

  nextEvent() {
    const steps = this.visible.flatMap((run) => run.events.map((row) => row[STEP])).sort((a, b) => a - b);
    if (steps.length > 0) this.go(steps.find((step) => step > (this.cursor ?? -1)) ?? steps[0]);
  }

  /** Says what is shown, and what was decided at the cursor. */
  tell() {
    const [low, high] = this.shown.map(Math.round);
    const lines = [`Steps ${whole(low)} to ${whole(high)}; the last decision is at step ${whole(this.whole[1])}.`];
    for (const run of this.cursor === null ? [] : this.visible) {
      const row = run.rows[decisionAt(run.rows, this.cursor)];
      if (!row) continue;
      const decay = row[DECAY] > 0 ? `, λ ${number(row[DECAY])}` : "";
      const words = `${run.name}, decision at step ${whole(row[STEP])}: loss ${number(row[LOSS])}, lr ${number(row[LR])}${decay}; ${doneAt(row, this.reasons)}`;
      const { guard, about } = this.reasons[row[REASON]];
      lines.push(guard ? `${words}: ${about}` : words);
    }
    this.readout.replaceChildren(...lines.map((line) => element("div", {}, line)));
  }

  columns() {
    return [["step", true], ["loss", true], ["learning rate", true], ["weight decay λ", true], ["action"], ["reason"]];
  }

  rowsOf(run) {
    const [low, high] = this.shown;
    const inside = run.rows.filter((row) => row[STEP] >= low && row[STEP] <= high);
    const action = (row) => doneAt(row, this.reasons).replace(/ \([^(]*\)$/, "");
    return inside.map((row) => [whole(row[STEP]), number(row[LOSS]), number(row[LR]), number(row[DECAY]), action(row), this.reasons[row[REASON]].name]);
  }

  draw(width) {
    const box = { left: 62, right: width - 14 };
    const x = Object.assign(scale(this.kind, this.shown, box.left, box.right), { isWhole: true });
    const parts = [];
    const panels = [["loss", LOSS, 210, "mean loss since the last decision"], ["lr", LR, 170, "learning rate"]];
    if (this.hasDecay) panels.push(["decay", DECAY, 130, "weight decay λ"]);
    const clip = newId("clip");
    let top = 26;
    const tops = [];
    for (const [, column, height, name] of panels) {
      parts.push(this.panel({ ...box, top, bottom: top + height }, x, column, name, clip));
      tops.push([top, top + height]);
      top += height + 34;
    }
    const below = this.axisOfSteps({ ...box, top: tops.at(-1)[1] }, x);
    top += 14;
    for (const run of this.visible) {
      const strip = this.strip(run, { ...box, top }, x);
      parts.push(strip.node);
      top += strip.height;
    }
    parts.push(below, this.eventLines(x, tops), this.cursorLine(x, tops[0][0], top));
    const clipping = drawing("clipPath", { id: clip }, drawing("rect", { x: box.left, y: 0, width: box.right - box.left, height: top }));
    const label = `Loss, learning rate and actions of ${this.visible.map((run) => run.name).join(", ")} over the steps. The tables below have the figures.`;
    const node = canvas(width, top + 4, label, drawing("defs", {}, clipping), parts);
    this.listen(node, x);
    return node;
  }

  panel(box, x, column, name, clip) {
    const [low, high] = this.shown;
    const near = (run) => {
      const first = Math.max(decisionAt(run.rows, low), 0);
      return run.rows.slice(first, Math.max(decisionAt(run.rows, high), first) + 2);
    };
    const parts = this.visible.map((run) => [run, near(run)]);
    const values = parts.flatMap(([, rows]) => rows.map((row) => row[column]));
    const kind = prefersLog(values) ? "log" : "linear";
    const y = roomy(kind, extent(values, kind === "log"), box.bottom, box.top);
    const title = kind === "log" ? `${name} (log scale)` : name;
    const curves = parts.map(([run, rows]) => {
      const d = path(rows.map((row) => [row[STEP], row[column]]), x, y, column !== LOSS);
      const lost = column === LOSS ? rows.filter((row) => row[LOSS] === null).map((row) => shape("cross", place(x.at(row[STEP])), box.top + 6)) : [];
      return drawing("g", { class: tinted(run.tint) },
        drawing("path", { class: "curve", d, "stroke-dasharray": run.dash }), lost.length > 0 && drawing("path", { class: "open", d: lost.join("") }));
    });
    return [frame(box, x, y, { x: null, y: title }), drawing("g", { "clip-path": `url(#${clip})` }, curves)];
  }

  axisOfSteps({ left, right, top }, x) {
    const all = shownTicks(x, Math.max(2, Math.floor((right - left) / 90)));
    const labels = uncrowded(all.map((v) => ({ at: x.at(v), text: tickLabel(v, all, this.kind) })), 10);
    const name = this.kind === "steps" ? "step (log scale)" : "step";
    return [labels.map(({ at, text: label }) => text(at, top + 17, label, "middle", "tick")), text((left + right) / 2, top + 35, name, "middle")];
  }

  /** What a run did, a lane for each move: where it is says as much as its color. */
  strip(run, { left, right, top }, x) {
    const values = [run.movesLr || (run.acts && !run.movesDecay) ? ["lr", LR_MOVE, 2] : null, run.movesDecay ? ["λ", DECAY_MOVE, 3] : null].filter(Boolean);
    const what = values.length === 0 ? "a schedule: no actions" : values.length > 1 ? "actions on lr, then on λ" : `actions on ${values[0][0]}`;
    const parts = [text(left, top + 10, cut(`${run.name}: ${what}`, Math.floor((right - left) / 7)), "start")];
    let y = top + 18;
    if (run.events.length > 0) {
      parts.push(text(left - 7, y + 10, "guard", "end", "tick"), this.badges(run, x, y, left, right));
      y += LANE + 4;
    }
    for (const [, column, counts] of values) {
      for (const move of [2, 1, 0]) {
        parts.push(text(left - 7, y + 10, MOVES[move], "end", "tick"), this.lane(run, { left, right, y }, x, column, counts, move));
        y += LANE;
      }
      y += 4;
    }
    return { node: drawing("g", {}, parts), height: y - top + 10 };
  }

  lane(run, { left, right, y }, x, column, counts, move) {
    const [low, high] = this.shown;
    // Decisions that stand closer than a mark is wide have one between them.
    const shares = new Map();
    const add = (from, to, share) => {
      if (to < low || from > high || share === 0) return;
      const [a, b] = [Math.max(x.at(from), left), Math.min(Math.max(x.at(to), x.at(from) + 2), right)];
      const key = `${Math.round(a / 2) * 2} ${Math.max(Math.round((b - a) / 2) * 2, 2)}`;
      const [sum, n] = shares.get(key) ?? [0, 0];
      shares.set(key, [sum + share, n + 1]);
    };
    if (run.strip) {
      for (const stretch of run.strip) {
        const n = stretch[counts].reduce((a, b) => a + b, 0);
        add(stretch[0], stretch[1], n > 0 ? stretch[counts][move] / n : 0);
      }
    } else {
      for (const row of run.rows) if (row[column] === move) add(row[STEP], row[STEP], 1);
    }
    const byDepth = new Map();
    for (const [key, [sum, n]] of shares) {
      const [at, long] = key.split(" ").map(Number);
      const depth = Math.max(Math.round((10 * sum) / n), 1) / 10;
      const wide = Math.min(long, Math.max(right - at, 2));
      byDepth.set(depth, `${byDepth.get(depth) ?? ""}M${at} ${y + 1}h${wide}v${LANE - 3}h${-wide}z`);
    }
    const bars = [...byDepth].map(([depth, d]) => drawing("path", { d, fill: "var(--tint)", "fill-opacity": depth }));
    const ground = drawing("path", { class: "grid", d: `M${left} ${y + LANE - 0.5}H${right}` });
    return drawing("g", { class: tinted(this.moveTints[move]) }, ground, bars);
  }

  /** Marks of the guard; where several would touch, one stands for all of them. */
  badges(run, x, y, left, right) {
    const groups = [];
    for (const row of run.events) {
      const exact = x.at(row[STEP]);
      if (exact < left - 0.5 || exact > right + 0.5) continue;
      const at = Math.min(Math.max(exact, left + 7), right - 7);
      const last = groups.at(-1);
      if (last && at - last.at < 17) last.rows.push(row);
      else groups.push({ at, rows: [row] });
    }
    const said = (row) => `step ${row[STEP]}: ${this.reasons[row[REASON]].about}`;
    return groups.map(({ at, rows }) => {
      const letter = LETTERS[this.reasons[rows[0][REASON]].name] ?? "!";
      const mark = badgeAt(at, y + LANE / 2, rows.length > 1 ? String(Math.min(rows.length, 99)) : letter);
      mark.prepend(drawing("title", {}, rows.slice(0, 12).map(said).join("\n")));
      return mark;
    });
  }

  /** Dashed lines at what the guard did, where they are few enough to tell anything. */
  eventLines(x, tops) {
    const [low, high] = this.shown;
    const inside = this.visible.map((run) => [run, run.events.filter((row) => row[STEP] >= low && row[STEP] <= high)]);
    if (inside.reduce((n, [, rows]) => n + rows.length, 0) > 40) return [];
    const line = (row) => tops.map(([top, bottom]) => `M${place(x.at(row[STEP]))} ${top}V${bottom}`).join("");
    return inside.map(([run, rows]) => drawing("path", { class: `event ${tinted(run.tint)}`, d: rows.map(line).join("") }));
  }

  cursorLine(x, top, bottom) {
    if (this.cursor === null || this.cursor < this.shown[0] || this.cursor > this.shown[1]) return null;
    return drawing("path", { class: "cursor", d: `M${place(x.at(this.cursor))} ${top}V${bottom}` });
  }

  listen(node, x) {
    const names = "Loss, learning rate and actions. Left and right: decisions. Plus and minus: zoom. 0: whole run. G: next decision of the guard.";
    filled(node, { tabindex: 0, role: "application", class: "zoomable", "aria-roledescription": "chart", "aria-label": names }, []);
    const hadFocus = this.node && document.activeElement === this.node;
    this.node = node;
    const stepAt = (event) => {
      const around = node.getBoundingClientRect();
      const at = ((event.clientX - around.left) / around.width) * node.viewBox.baseVal.width;
      return Math.min(Math.max(x.value(at), this.shown[0]), this.shown[1]);
    };
    node.addEventListener("keydown", (event) => this.key(event));
    node.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      this.drag = { from: stepAt(event), at: event.clientX };
      node.setPointerCapture(event.pointerId);
    });
    node.addEventListener("pointermove", (event) => {
      if (this.drag) this.showChosen(node, x, stepAt(event));
    });
    node.addEventListener("pointerup", (event) => {
      const drag = this.drag;
      this.drag = null;
      if (!drag) return;
      const to = stepAt(event);
      if (Math.abs(event.clientX - drag.at) > 6) this.window(Math.min(drag.from, to), Math.max(drag.from, to));
      else this.go(this.nearest(to));
      this.node.focus();
    });
    node.addEventListener("pointercancel", () => this.change({ drag: null }));
    node.addEventListener("dblclick", () => this.change({ shown: this.whole }));
    // What was in focus is replaced by the new drawing.
    if (hadFocus) queueMicrotask(() => node.focus());
  }

  nearest(step) {
    const steps = this.visible.flatMap((run) => {
      const at = decisionAt(run.rows, step);
      return [run.rows[at], run.rows[at + 1]].filter(Boolean).map((row) => row[STEP]);
    });
    return steps.reduce((best, next) => (Math.abs(next - step) < Math.abs(best - step) ? next : best), steps[0] ?? step);
  }

  showChosen(node, x, to) {
    node.querySelector(".chosen")?.remove();
    const [a, b] = [x.at(this.drag.from), x.at(to)].sort((p, q) => p - q);
    node.append(drawing("rect", { class: "chosen", x: a, y: 26, width: b - a, height: node.viewBox.baseVal.height - 30 }));
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const acts = {
      ArrowLeft: () => (event.shiftKey ? this.pan(-0.2) : this.nextDecision(false)),
      ArrowRight: () => (event.shiftKey ? this.pan(0.2) : this.nextDecision(true)),
      "+": () => this.zoom(0.5),
      "=": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.change({ shown: this.whole }),
      Home: () => this.change({ shown: this.whole }),
      g: () => this.nextEvent(),
      G: () => this.nextEvent(),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  }
}

/** What became of each run, in a table. */
function runsTable({ runs, reasons }) {
  const guard = new Set(reasons.filter((reason) => reason.guard).map((reason) => reason.name));
  const row = (run) => {
    const [first, last] = [run.rows[0], run.rows.at(-1)];
    const lowest = extent(run.rows.map((row) => row[LOSS]));
    const undone = Object.entries(run.reasons).filter(([name]) => guard.has(name)).map(([name, n]) => `${whole(n)} ${name}`);
    return [run.name, whole(run.n_decisions), whole(last?.[STEP] ?? 0), number(first?.[LOSS] ?? null), lowest ? number(lowest[0]) : "none", number(last?.[LOSS] ?? null),
      `${number(first?.[LR] ?? null)} → ${number(last?.[LR] ?? null)}`, undone.join(", ") || "nothing"];
  };
  const columns = [["run"], ["decisions", true], ["last decision at step", true], ["loss at first", true], ["lowest", true], ["at last", true], ["learning rate"], ["the guard found"]];
  return wideTable("Losses are means of the batches between two decisions; what came after the last one is in no trace", columns, runs.map(row));
}

function runsSection(section, page) {
  const { runs } = section;
  const notes = runs.flatMap((run) => [
    run.cut_off && `The last line of ${run.name} is not whole and is left out: the run was killed, or goes on.`,
    run.n_events_left_out > 0 && `Of the decisions of the guard in ${run.name}, ${whole(run.n_events_left_out)} are not drawn.`,
    run.rows.length === 0 && `${run.name} has no decision yet.`,
  ]).filter(Boolean);
  const title = runs.length === 1 ? `Run: ${runs[0].name}` : `${counted(runs.length, "run")}: ${runs.map((run) => run.name).join(", ")}`;
  return { title, content: [runsTable(section), notes.map((note) => element("p", {}, note)), new RunsView(section, page.moves).build()] };
}
