// A controller of qgd in plain JavaScript: from the features of a decision to its action. Node 20, no packages.
//
//     node controller.mjs CONTROLLER.json TRACE.jsonl...
//
// decides again what stands in traces, and says where it would have decided otherwise.
import { readFileSync } from "node:fs";

/** Output of a layer: weight x + bias. */
const linear = ({ weight, bias }, x) => weight.map((row, i) => row.reduce((sum, w, j) => sum + w * x[j], bias[i]));

/** Q-values of one network. */
function qValues({ layers, dueling }, x) {
  layers.forEach((layer, i) => {
    x = linear(layer, x);
    if (i < layers.length - 1) x = x.map((v) => Math.max(0, v));
  });
  if (!dueling) return x;
  const [value, ...advantages] = x;
  const mean = advantages.reduce((a, b) => a + b) / advantages.length;
  return advantages.map((advantage) => value + advantage - mean);
}

/** Decision at inner step `step`: its action, why, and the Q-values. */
function decide(controller, step, features) {
  const { features: about, networks, actions, out_of_range, halve_evidence } = controller;
  const confined = about.map(({ low, high }, i) => Math.min(Math.max(features[i], low), high));
  const all = networks.map((network) => qValues(network, confined));
  const q = actions.map((_, a) => all.reduce((sum, q) => sum + q[a], 0) / networks.length);
  const accept = actions.find((action) => action.lr === "accept" && action.weight_decay === "accept");
  const nFar = confined.filter((v, i) => Math.abs(features[i] - v) > out_of_range.distance).length;
  if (nFar > out_of_range.share * about.length) return { action: accept, reason: "out-of-range", q };

  const best = (indices) => actions[indices.reduce((best, next) => (q[next] > q[best] ? next : best))];
  const indices = [...actions.keys()];
  const action = best(indices);
  const named = (name) => features[about.findIndex((feature) => feature.name === name)];
  const lacksEvidence = halve_evidence !== null && step < halve_evidence.steps &&
    named("loss_rise") < halve_evidence.loss_rise && named("update_cosine_ema") < halve_evidence.update_cosine_ema;
  if (action.lr !== "halve" || !lacksEvidence) return { action, reason: "policy", q };
  const others = indices.filter((i) => actions[i].lr !== "halve");
  return { action: others.length ? best(others) : accept, reason: "no-evidence", q };
}

const [file, ...traces] = process.argv.slice(2);
if (traces.length === 0) {
  console.error("usage: node controller.mjs CONTROLLER.json TRACE.jsonl...");
  process.exit(2);
}
const controller = JSON.parse(readFileSync(file, "utf8"));
// Decisions of the guard show no features: they are not the controller's.
const lines = traces.flatMap((trace) => readFileSync(trace, "utf8").split("\n"));
const records = lines.filter(Boolean).map((line) => JSON.parse(line)).filter((record) => record.features.length > 0);
let [same, apart] = [0, 0];
for (const { step, features, action, reason, q_values } of records) {
  const own = decide(controller, step, features);
  apart = Math.max(apart, ...q_values.map((q, i) => Math.abs(q - own.q[i])));
  const said = [own.action.lr, own.action.weight_decay, own.reason].join(" ");
  const recorded = [action.lr, action.weight_decay, reason].join(" ");
  if (said === recorded) same += 1;
  else console.log(`step ${step}: ${said}; the trace has ${recorded}`);
}
console.log(`${same} of ${records.length} decisions are the same; Q-values differ by up to ${apart.toExponential(1)}`);
process.exitCode = records.length > 0 && same === records.length ? 0 : 1;
