// A study: history, what matters, parallel coordinates, slices, intermediate values.

/** Largest number of axes of the parallel coordinates. */
const MAX_AXES = 12;

class StudyView {
  constructor(study, page) {
    Object.assign(this, { study, tints: page.tints, objective: 0, share: 10, figures: [] });
    this.best = new Set(study.best);
    this.isLog = this.chooseLog();
  }

  /** Name of what is looked at. */
  get value() {
    return this.study.directions.length > 1 ? `value of objective ${this.objective}` : "value";
  }

  get direction() {
    return this.study.directions[this.objective];
  }

  chooseLog() {
    return prefersLog(this.complete().map((trial) => this.valueOf(trial)));
  }

  valueOf(trial) {
    const value = trial.values[this.objective];
    return typeof value === "number" ? value : null;
  }

  complete() {
    return this.study.trials.filter((trial) => trial.state === "complete" && this.valueOf(trial) !== null);
  }

  pruned() {
    return this.study.trials.filter((trial) => trial.state === "pruned" && this.valueOf(trial) !== null);
  }

  /** Complete trials, the best first. */
  ranked() {
    const sign = this.direction === "minimize" ? 1 : -1;
    const feasible = this.complete().filter((trial) => trial.feasible);
    return feasible.sort((a, b) => sign * (this.valueOf(a) - this.valueOf(b)) || a.number - b.number);
  }

  /** Parameters, those that matter most first. */
  params() {
    const places = new Map(this.study.importance[this.objective].map(([name], i) => [name, i]));
    const indexed = this.study.params.map((param, index) => ({ ...param, index }));
    return indexed.sort((a, b) => (places.get(a.name) ?? 1e9) - (places.get(b.name) ?? 1e9));
  }

  /** Whether a parameter has whole numbers alone. */
  isWhole(param) {
    return this.study.trials.every((trial) => trial.params[param.index] === null || Number.isInteger(trial.params[param.index]));
  }

  said(param, inner) {
    if (inner === null) return "not active";
    return param.choices ? param.choices[inner] ?? "?" : number(inner);
  }

  title(trial) {
    const params = this.study.params.map((param, i) => [param, trial.params[i]]).filter(([, inner]) => inner !== null);
    const values = trial.values.map(number).join(", ") || "no value";
    return `trial ${trial.number}, ${trial.state}: ${values}\n${params.map(([param, inner]) => `${param.name} = ${this.said(param, inner)}`).join("\n")}`;
  }

  build() {
    const parts = element("div");
    const draw = () => {
      this.isLog = this.chooseLog();
      const content = [this.history(), this.front(), this.importance(), this.parallel(), this.slices(), this.curves()];
      parts.replaceChildren(...content.flat().filter(Boolean));
      parts.querySelectorAll(".chart").forEach((node) => node.redraw());
    };
    draw();
    if (this.study.directions.length === 1) return [parts];
    const options = this.study.directions.map((direction, i) => [String(i), `${i}, ${direction}`]);
    const change = (i) => {
      this.objective = Number(i);
      draw();
    };
    return [element("div", { class: "controls" }, choice("Objective", options, "0", change)), parts];
  }

  axis() {
    return { name: this.value, kind: this.isLog ? "log" : "linear" };
  }

  /** Complete and pruned trials as marks over something; the best ones stand out. */
  marks(over) {
    const [blue, gray] = this.tints;
    const series = (trials, tint, mark) => {
      const shown = trials.filter((trial) => over(trial) !== null);
      return { tint, mark, line: false, points: shown.map((trial) => [over(trial), this.valueOf(trial)]), titles: shown.map((trial) => this.title(trial)) };
    };
    const isBest = (trial) => this.best.has(trial.number);
    const complete = this.complete();
    const others = complete.filter((trial) => !isBest(trial));
    return [
      series(this.pruned(), gray, "cross"),
      series(others.filter((trial) => !trial.feasible), gray, "drop"),
      series(others.filter((trial) => trial.feasible), gray, "circle"),
      series(complete.filter(isBest), blue, "diamond"),
    ];
  }

  keys(extra = []) {
    const [blue, gray] = this.tints;
    const states = new Set(this.study.trials.map((trial) => trial.state));
    const best = this.study.directions.length > 1 ? "best: beaten by no other" : "best";
    return keys([
      [swatch(blue, undefined, "diamond"), best],
      [swatch(gray, undefined, "circle"), "complete"],
      this.study.trials.some((trial) => !trial.feasible) && [swatch(gray, undefined, "drop"), "breaks a constraint"],
      states.has("pruned") && [swatch(gray, undefined, "cross"), "pruned, at its last value"],
      ...extra,
    ].filter(Boolean));
  }

  trialColumns() {
    const values = this.study.directions.map((_, i) => [this.study.directions.length > 1 ? `value ${i}` : "value", true]);
    return [["trial", true], ["state"], ...values, ...this.study.params.map((param) => [param.name, !param.choices]), ["why it failed"]];
  }

  trialRow(trial) {
    const values = this.study.directions.map((_, i) => (trial.values[i] === undefined ? "–" : number(trial.values[i])));
    const params = this.study.params.map((param, i) => this.said(param, trial.params[i]));
    return [trial.number, trial.state, ...values, ...params, trial.reason ?? ""];
  }

  history() {
    const { study } = this;
    if (this.complete().length === 0) return element("p", {}, "No trial is complete yet.");
    const last = study.trials.at(-1).number;
    const records = study.records[this.objective];
    const curve = [...records, ...(records.length > 0 ? [[last, records.at(-1)[1]]] : [])];
    const red = this.tints[2];
    const failed = study.trials.filter((trial) => trial.state === "failed");
    const lost = (x, y, box) => failed.map((trial) =>
      drawing("g", { class: tinted(red) }, drawing("path", { class: "open", d: shape("cross", place(x.at(trial.number)), box.bottom - 6) },
        drawing("title", {}, `trial ${trial.number} failed: ${trial.reason ?? ""}`))));
    const series = () => [{ tint: this.tints[0], points: curve, held: true }, ...this.marks((trial) => trial.number)];
    const label = () => `Value over the number of the trial, ${counted(study.n_trials, "trial")}; the best is ${number(records.at(-1)?.[1] ?? null)} in trial ${records.at(-1)?.[0]}.`;
    const picture = plot({ label, x: { name: "trial", kind: "linear", isWhole: true }, y: this.axis(), series, extra: lost });
    const extra = [[swatch(this.tints[0], null, null), "best so far"], failed.length > 0 && [swatch(red, undefined, "cross"), "failed (at the lower edge)"]].filter(Boolean);
    const goal = this.direction === "minimize" ? "small" : "large";
    const rest = study.trials.length < study.n_trials ? ` ${whole(study.trials.length)} of ${whole(study.n_trials)} trials are drawn: the best ones and others evenly spread.` : "";
    return figure("History", `Each trial with its ${this.value}; ${goal} is good.${rest}`, picture, this.keys(extra),
      behind("trials", this.trialColumns(), () => study.trials.map((trial) => this.trialRow(trial))));
  }

  /** Two objectives against each other. */
  front() {
    if (this.study.directions.length !== 2) return null;
    const at = (trial) => (typeof trial.values[0] === "number" ? trial.values[0] : null);
    const [a, b] = this.study.directions;
    const series = () => {
      const [objective, trials] = [this.objective, (this.objective = 1, this.marks(at))];
      this.objective = objective;
      return trials.slice(1);
    };
    const label = () => `Both values of each trial; ${counted(this.study.best.length, "trial")} on the front.`;
    const picture = plot({ label, x: { name: `value of objective 0 (${a})`, kind: "linear" }, y: { name: `value of objective 1 (${b})`, kind: "linear" }, series, height: 300 });
    const rows = () => this.study.trials.filter((trial) => this.best.has(trial.number)).map((trial) => this.trialRow(trial));
    return figure("Front", "Both objectives; the best trials are those that no other beats in both.", picture, this.keys(), behind("trials of the front", this.trialColumns(), rows));
  }

  importance() {
    const shares = this.study.importance[this.objective];
    if (shares.length === 0) return null;
    const shown = shares.slice(0, 20);
    const longest = Math.max(...shown.map(([name]) => name.length));
    const picture = chart((width) => {
      const left = Math.min(longest * 7 + 14, width * 0.4);
      const room = width - left - 60;
      const bars = shown.map(([name, share], i) => [
        text(left - 8, i * 24 + 17, cut(name, Math.floor(left / 6.5)), "end"),
        drawing("rect", { class: tinted(this.tints[0]), x: left, y: i * 24 + 4, width: Math.max(share * room, 1), height: 16, fill: "var(--tint)" }),
        text(left + share * room + 6, i * 24 + 17, `${(100 * share).toFixed(1)} %`),
      ]);
      const label = `Importance: ${shown.slice(0, 5).map(([name, share]) => `${name} ${(100 * share).toFixed(0)} percent`).join(", ")}.`;
      return canvas(width, shown.length * 24 + 6, label, bars);
    });
    const rows = () => shares.map(([name, share]) => [name, `${(100 * share).toFixed(2)} %`]);
    const n = this.complete().length;
    const guess = n < this.study.few_trials ? ` From ${counted(n, "complete trial")} that is a guess: with fewer than ${this.study.few_trials} the best tenth is a handful.` : "";
    return figure("Importance", `How much each parameter matters (PED-ANOVA, Watanabe 2023): how far its values in the best tenth of the trials are from those in all. Shares add up to 100 %.${guess}`, picture,
      behind("importance", [["parameter"], ["share", true]], rows));
  }

  parallel() {
    const ranked = this.ranked();
    if (ranked.length < 2 || this.study.params.length === 0) return null;
    const params = this.params().slice(0, MAX_AXES);
    const left = this.study.params.length - params.length;
    const picture = chart((width) => this.drawParallel(ranked, params, width));
    const shown = element("span", {}, `${this.share} %`);
    const slider = element("input", { type: "range", min: 1, max: 100, value: this.share });
    slider.addEventListener("input", () => {
      this.share = Number(slider.value);
      shown.textContent = `${this.share} %`;
      picture.redraw();
    });
    const controls = element("div", { class: "controls" }, element("label", {}, "The best that stand out: ", slider), shown);
    const note = `Each line is a complete trial, from its ${this.value} over its parameters, those that matter most first. A line that breaks off has a parameter that is not active.${left > 0 ? ` ${counted(left, "parameter")} of less importance ${left === 1 ? "is" : "are"} left out.` : ""}`;
    const legendOf = keys([[swatch(this.tints[0], null, null), "the best"], [swatch(this.tints[1], "3 3", null), "the others"]]);
    const rows = () => ranked.map((trial) => this.trialRow(trial));
    return figure("Parallel coordinates", note, controls, element("div", { class: "wide" }, picture), legendOf, behind("trials, the best first", this.trialColumns(), rows));
  }

  drawParallel(ranked, params, given) {
    const width = Math.max(given, 85 * (params.length + 1) + 60);
    const [top, bottom] = [44, 300];
    const at = (i) => 52 + (i * (width - 110)) / params.length;
    const values = ranked.map((trial) => this.valueOf(trial));
    const axes = [{ name: this.value, y: roomy(this.isLog ? "log" : "linear", extent(values, this.isLog), bottom, top), of: (trial) => this.valueOf(trial) }];
    for (const param of params) {
      const ends = param.choices ? [-0.3, param.choices.length - 0.7] : [param.low, param.high];
      const y = scale(param.log && param.low > 0 ? "log" : "linear", ends, bottom, top);
      y.isWhole = this.isWhole(param);
      axes.push({ name: param.name, choices: param.choices, y, of: (trial) => trial.params[param.index] });
    }
    const gap = (width - 110) / params.length;
    const frames = axes.map((axis, i) => this.parallelAxis(axis, at(i), top, bottom, Math.floor((gap - 8) / 6.6), width - 4, i === 0 ? "start" : i === params.length ? "end" : "middle"));
    const line = (trial) => {
      let [d, isDown] = ["", false];
      axes.forEach((axis, i) => {
        const value = axis.of(trial);
        if (value !== null) d += `${isDown ? "L" : "M"}${place(at(i))} ${place(axis.y.at(value))}`;
        isDown = value !== null;
      });
      return d;
    };
    const n = Math.max(1, Math.round((ranked.length * this.share) / 100));
    const lines = ranked.map((trial, i) => {
      const isGood = i < n;
      const title = drawing("title", {}, this.title(trial));
      return drawing("g", { class: tinted(this.tints[isGood ? 0 : 1]) },
        drawing("path", { class: isGood ? "curve" : "curve fine", d: line(trial), "stroke-dasharray": isGood ? null : "3 3" }, title));
    });
    const label = `Parallel coordinates of ${counted(ranked.length, "complete trial")} over ${params.map((param) => param.name).join(", ")}.`;
    return filled(canvas(width, bottom + 14, label, lines.reverse(), frames), { style: `min-width:${Math.round(width)}px` }, []);
  }

  /** `anchor`: the name of the first axis begins at the left edge, that of the last one ends at the right edge. */
  parallelAxis({ name, y, choices }, x, top, bottom, room, right, anchor) {
    const all = choices ? choices.map((_, i) => i) : shownTicks(y, 5);
    const shown = choices && choices.length > 12 ? all.filter((i) => i % Math.ceil(choices.length / 12) === 0) : all;
    const words = (v) => (choices ? cut(choices[v], room) : tickLabel(v, all, y.kind));
    const labels = shown.map((v) => [drawing("path", { class: "axis", d: `M${x - 3} ${y.at(v)}h6` }),
      filled(text(anchor === "end" ? x - 6 : x + 6, y.at(v) + 4, words(v), anchor === "end" ? "end" : "start"), { style: "paint-order:stroke;stroke:var(--paper);stroke-width:4px;stroke-linejoin:round" }, [])]);
    const title = filled(text({ start: 4, middle: x, end: right }[anchor], top - 16, cut(name, room), anchor), {}, [drawing("title", {}, name)]);
    return drawing("g", {}, drawing("path", { class: "axis", d: `M${x} ${top}V${bottom}` }), labels, title);
  }

  slices() {
    if (this.complete().length === 0 || this.study.params.length === 0) return null;
    const one = (param) => {
      const ends = param.choices ? [-0.5, param.choices.length - 0.5] : [param.low, param.high];
      const axis = { name: param.choices ? "" : cut(param.name, 36), kind: param.log && param.low > 0 ? "log" : "linear", ends, isWhole: this.isWhole(param) };
      const series = () => this.marks((trial) => trial.params[param.index]);
      const label = () => `The ${this.value} of each trial over ${param.name}.`;
      const picture = param.choices ? this.choicesPlot(param, series, label) : plot({ label, x: axis, y: this.axis(), series, height: 210 });
      const rows = () => this.complete().map((trial) => [this.said(param, trial.params[param.index]), number(this.valueOf(trial)), trial.number]);
      return element("div", {}, picture, behind(`${this.value} over ${param.name}`, [[param.name, !param.choices], [this.value, true], ["trial", true]], rows));
    };
    const params = this.params();
    const rest = params.length > MAX_AXES ? ` The ${MAX_AXES} that matter most.` : "";
    return figure("Slices", `The ${this.value} of each trial over each of its parameters.${rest}`, this.keys(), element("div", { class: "panels" }, params.slice(0, MAX_AXES).map(one)));
  }

  /** A plot over choices, which have names in the place of ticks. */
  choicesPlot(param, series, label) {
    return chart((width) => {
      const [height, box] = [210, { left: 62, top: 30, right: width - 14, bottom: 168 }];
      const all = series();
      const values = all.flatMap((one) => one.points.map((point) => point[1]));
      const y = roomy(this.isLog ? "log" : "linear", extent(values, this.isLog), box.bottom, box.top);
      const x = scale("linear", [-0.5, param.choices.length - 0.5], box.left, box.right);
      const room = Math.max(2, Math.floor((box.right - box.left) / param.choices.length / 7));
      const names = uncrowded(param.choices.map((choice, i) => ({ at: x.at(i), text: cut(choice, room) })), 4);
      const bare = { ...x, ticks: () => [] };
      const title = this.isLog ? `${this.value} (log scale)` : this.value;
      return canvas(width, height, label(), frame(box, bare, y, { x: cut(param.name, 36), y: title }),
        names.map(({ at, text: name }) => text(at, box.bottom + 17, name, "middle", "tick")), all.map((one) => seriesOf(one, x, y, box)));
    });
  }

  curves() {
    const trials = this.study.trials.filter((trial) => trial.curve !== null);
    if (trials.length === 0) return null;
    const [blue, gray] = this.tints;
    const group = (trial) => (this.best.has(trial.number) ? 2 : trial.state === "pruned" ? 0 : 1);
    const sorted = [...trials].sort((a, b) => group(a) - group(b));
    const series = () => sorted.map((trial) => ({
      tint: group(trial) === 2 ? blue : gray,
      points: trial.curve,
      fine: group(trial) !== 2,
      dash: group(trial) === 0 ? "2 3" : null,
      titles: null,
    }));
    const ends = (x, y) => sorted.filter((trial) => trial.state === "pruned").map((trial) => {
      const last = [...trial.curve].reverse().find(([, value]) => value !== null);
      return last && drawing("g", { class: tinted(gray) }, drawing("path", { class: "open", d: shape("cross", place(x.at(last[0])), place(y.at(last[1]))) }, drawing("title", {}, this.title(trial))));
    });
    const label = () => `Intermediate values of ${counted(trials.length, "trial")} over their steps.`;
    const picture = plot({ label, x: { name: "step of the trial", kind: "linear", isWhole: true }, y: { name: "intermediate value" }, series, extra: ends });
    const rest = trials.length < this.study.n_curves ? ` ${whole(trials.length)} of ${whole(this.study.n_curves)} curves are drawn.` : "";
    const legendOf = keys([[swatch(blue, null, null), "best"], [swatch(gray, null, null), "complete"], [swatch(gray, "2 3", "cross"), "pruned"]]);
    const rows = () => trials.flatMap((trial) => trial.curve.map(([step, value]) => [trial.number, trial.state, whole(step), number(value)]));
    return figure("Intermediate values", `What each trial reported on its way.${rest}`, picture, legendOf, behind("intermediate values", [["trial", true], ["state"], ["step", true], ["value", true]], rows));
  }
}

function studySection(study, page) {
  const counts = Object.entries(study.counts).map(([state, n]) => `${whole(n)} ${state}`).join(", ");
  const settings = study.settings && `Sampler ${study.settings.sampler}, pruner ${study.settings.pruner}, seed ${study.settings.seed}, lag ${study.settings.lag}.`;
  const best = study.trials.filter((trial) => study.best.includes(trial.number)).slice(0, 20);
  const view = new StudyView(study, page);
  const heading = study.directions.length > 1 ? "The best trials: those that no other beats in all objectives" : "The best trial";
  const rest = study.best.length > best.length ? ` (the first ${best.length} of ${study.best.length})` : "";
  const bestTable = best.length > 0 && wideTable(`${heading}${rest}`, view.trialColumns().slice(0, -1), best.map((trial) => view.trialRow(trial).slice(0, -1)));
  const summary = element("p", {}, `${counted(study.n_trials, "trial")}: ${counts || "none"}. Goal: ${study.directions.join(", ")}. ${settings ?? ""}`);
  return { title: `Study: ${study.name}`, content: [summary, bestTable, study.n_trials > 0 && view.build()] };
}
