// An evaluation: its tables, and for each problem the final loss over the learning rate at the start.

const ratioOf = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
const lossOf = (value) => (value === null || value === undefined ? "diverged" : number(value));

/** A difference in words: better or worse, never a sign. */
function inWords(deficit, show) {
  if (deficit === null || deficit === undefined) return "–";
  const size = show(Math.abs(deficit));
  return size === show(0) ? "the same" : `${size} ${deficit > 0 ? "worse" : "better"}`;
}
const points = (value) => `${value.toFixed(2)} points`;
const percent = (value) => `${(100 * value).toFixed(1)} %`;

function groupsTable(caption, first, groups) {
  const columns = [[first], ["problems", true], ["over cosine", true], ["largest", true], ["over best rival", true], ["worst over median", true], ["accuracy", true], ["loss in regression", true], ["test loss", true]];
  const share = (ratio) => inWords(ratio === null ? null : ratio - 1, percent);
  const rows = groups.map((group) => [group.name, group.n_problems, ratioOf(group.tuned_ratio), ratioOf(group.largest_tuned_ratio), ratioOf(group.rivals_ratio), ratioOf(group.worst_ratio),
    inWords(group.accuracy_deficit, points), share(group.regression_loss_ratio), share(group.test_loss_ratio)]);
  return groups.length > 0 && wideTable(caption, columns, rows);
}

function rivalsTable({ rivals, quick }) {
  const columns = [["rival"], ["problems", true], ["over its best", true], ["over its median", true], ...(quick ? [] : [["wins", true], ["ties", true], ["losses", true]])];
  const rows = rivals.map((rival) => [rival.name, rival.n_problems, ratioOf(rival.ratio), ratioOf(rival.untuned_ratio), ...(quick ? [] : [rival.wins, rival.ties, rival.losses])]);
  return rivals.length > 0 && wideTable("The controller at its median start over each rival at its best start, and at its median: below 1 it ends lower", columns, rows);
}

function problemsTable({ problems, quick }) {
  const columns = [["task"], ["steps", true], ["optimizer"], ["times seen", true], ["best", true], ["median", true], ["worst", true], ["cosine's best", true], ["from", true], ["over cosine", true], ["best rival"], ["over it", true], ...(quick ? [] : [["verdict"]])];
  const rows = problems.map(({ runs, verdict }) => {
    const cosine = verdict.rivals.find((rival) => rival.name === "cosine");
    return [runs.task, whole(runs.steps), runs.optimizer, runs.exposures === null ? "–" : number(runs.exposures), lossOf(verdict.best), lossOf(verdict.median), lossOf(verdict.worst), cosine ? lossOf(cosine.best) : "–",
      cosine ? number(cosine.best_start) : "–", ratioOf(verdict.tuned_ratio), verdict.best_rival, ratioOf(verdict.rivals_ratio), ...(quick ? [] : [cosine?.outcome ?? "–"])];
  });
  return wideTable("Training loss over the whole split after the last step, geometric mean of the seeds; best, median, worst: over the starts of the controller", columns, rows);
}

function peersTable({ peers }) {
  const columns = [["rival"], ["task"], ["steps", true], ["optimizer"], ["best", true], ["from", true], ["median", true], ["over its best", true], ["over its median", true]];
  const rows = peers.map((peer) => [peer.name, peer.task, whole(peer.steps), peer.optimizer, lossOf(peer.best), number(peer.best_start), lossOf(peer.median), ratioOf(peer.ratio), ratioOf(peer.untuned_ratio)]);
  return peers.length > 0 && wideTable("Merged results of other programs: seeds and batches of their own", columns, rows);
}

/** A method's line: the mean over the seeds at each start, and the band of the single seeds. Where one has diverged, so has the line. */
function methodLine({ starts }) {
  const sorted = [...starts].sort((a, b) => a.lr - b.lr);
  const lost = ({ cells }) => cells.some((cell) => cell.train_loss === null);
  const line = sorted.map((start) => [start.lr, lost(start) ? Infinity : start.train_loss ?? Infinity]);
  const band = sorted.flatMap(({ lr, cells }) => {
    const ends = extent(cells.map((cell) => cell.train_loss), true);
    return ends && cells.every((cell) => cell.train_loss !== null) ? [[lr, ...ends]] : [];
  });
  return { line, band };
}

class ValleyView {
  constructor(evaluation) {
    const names = Object.keys(evaluation.tints).sort((a, b) => (b === evaluation.controller.name) - (a === evaluation.controller.name));
    this.off = new Set();
    this.styles = new Map(names.map((name, i) => [name, { name, tint: evaluation.tints[name], dash: DASHES[i % DASHES.length], mark: SHAPES[i % SHAPES.length] }]));
    this.problems = evaluation.problems;
  }

  build() {
    const charts = this.problems.map(({ runs }) => this.panel(runs));
    const change = (off) => {
      this.off = off;
      charts.forEach(({ picture }) => picture.redraw());
    };
    const note = "Training loss after the last step over the learning rate at the start: the mean of the seeds, and the band of the single ones. A flat line does not care where it starts; a valley must be hit. A cross at the upper edge has diverged.";
    return figure("From every start", note, legend([...this.styles.values()], change), element("div", { class: "panels" }, charts.map(({ node }) => node)));
  }

  panel(runs) {
    const what = `${runs.task}, ${whole(runs.steps)} steps of ${runs.optimizer}${runs.conditioning && runs.conditioning !== "none" ? `, ${runs.conditioning}` : ""}`;
    const series = () => runs.methods.map((method) => {
      const { line, band } = methodLine(method);
      const titles = line.map(([lr, loss]) => `${method.name} from ${number(lr)}: ${Number.isFinite(loss) ? number(loss) : "diverged"}`);
      return { ...this.styles.get(method.name), points: line, band, titles, hidden: this.off.has(method.name) };
    });
    const label = () => `${what}: training loss over the learning rate at the start, of ${runs.methods.map((method) => method.name).join(", ")}.`;
    const picture = plot({ label, x: { name: "learning rate at the start", kind: "log" }, y: { name: "training loss" }, series, height: 230 });
    const rows = () => runs.methods.flatMap((method) => methodLine(method).line.map(([lr, loss]) => [method.name, number(lr), Number.isFinite(loss) ? number(loss) : "diverged"]));
    const details = behind(what, [["method"], ["start", true], ["training loss", true]], rows);
    const heading = element("h4", { style: "margin:1rem 0 0;font-size:0.95rem" }, what);
    return { picture, node: element("div", {}, heading, picture, details) };
  }
}

function pooledLine(what, pooled, show) {
  if (!pooled || pooled.mean === null) return null;
  const [low, high] = pooled.interval.map((end) => inWords(end, show));
  return element("p", {}, `${what}, against cosine: ${inWords(pooled.mean, show)} (95 %: from ${low} to ${high}; bootstrap over ${counted(pooled.n_pairs, "pair")} of task and seed).`);
}

function evaluationSection(evaluation) {
  const { controller, suite, quick, problems } = evaluation;
  const seeds = Math.max(...problems.map(({ runs }) => runs.seeds.length), 0);
  const how = quick ? "A quick look: rivals tried at one start a decade and not refined. Who wins takes the whole evaluation."
    : "Rivals are tuned: one start a decade, then three around the best. Verdicts: two-sided paired t-test over the seeds, level 0.05.";
  const made = controller.recipe_hash ? ` (recipe ${controller.recipe_hash}, seed ${controller.meta_training_seed})` : "";
  const summary = element("p", {}, `${controller.name}${made} on ${suite}: ${counted(problems.length, "problem")}, ${counted(seeds, "seed")}. ${how}`);
  const floor = element("p", { class: "faint" }, "Ratios: (median loss of the controller + floor) over (loss of the rival + floor), the floor 1 % of the loss of the untrained net.");
  const logRatio = (log) => percent(Math.expm1(log));
  return {
    title: `Evaluation: ${controller.name} on ${suite}`,
    content: [
      summary,
      floor,
      groupsTable("By how often each example is seen, and by optimizer: geometric means over the problems", "kind, optimizer", evaluation.regimes),
      groupsTable("By optimizer and horizon: geometric means over the problems", "optimizer", evaluation.groups),
      rivalsTable(evaluation),
      pooledLine("Test accuracy", evaluation.accuracy_deficit, points),
      pooledLine("Test loss in regression", evaluation.log_test_loss_ratio, logRatio),
      peersTable(evaluation),
      problems.length > 0 && figure("The problems", null, problemsTable(evaluation)),
      problems.length > 0 && new ValleyView(evaluation).build(),
    ],
  };
}
