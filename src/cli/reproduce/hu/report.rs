//! What came out, beside the paper's sentences and figures: it has no tables.

use super::net::{Objective, Searched};
use super::variants::{Controlled, VARIANTS, Variant};
use super::{EPISODES, Results, STEPS, Trained};
use crate::cli::reproduce::document::{Document, spread, thinned};
use crate::cli::reproduce::lab::Lab;
use qgd::report::{Align, Axis, Chart, Color, Line, Table, number, svg_in_rows};
use qgd::statistics::{mean, median};
use serde_json::{Value as Json, json};

pub fn document(lab: &Lab, objectives: &[Objective; 2], results: &Results) -> Document {
    let mut document = Document::new(lab, "Hu, Zhang and Shi: Q-gradient descent");
    introduction(objectives, results, &mut document);
    against_plain_descent(&objectives[0], results, &mut document);
    ablation(results, &mut document);
    patterns(results, &mut document);
    lambda(results, &mut document);
    differences(&mut document);
    document.data("steps_of_curves", thinned(&(1..STEPS).collect::<Vec<_>>()).into());
    document.data("episodes_of_curves", thinned(&(1..=results.n_episodes).collect::<Vec<_>>()).into());
    document.data("trainings", results.trained.iter().map(as_json).collect());
    let plain = results
        .plain
        .iter()
        .map(|(controlled, seed, runs)| json!({
            "controls": format!("{controlled:?}"), "seed": seed, "runs": runs.iter().map(run_as_json).collect::<Vec<_>>(),
        }));
    document.data("plain_gradient_descent", plain.collect());
    document
}

fn introduction(objectives: &[Objective; 2], results: &Results, document: &mut Document) {
    document.paragraph(
        "Hu, Zhang and Shi, *Hyper-parameters Optimization of Neural Network Using Deep Q-Learning*. A Q-network with six \
         features watches gradient descent on a full batch of CIFAR-10 and says *halve* or *accept* (and ×1.25 for λ); \
         section 4. Its loss did not converge for them but with ε = 0.01, where the network took the same action at every \
         step (section 4.3). One saved network happened to reach about 40 % accuracy within 100 steps, where plain gradient \
         descent had about 30 % (section 4.4, Figures 10 and 11). The paper has no table: what can be compared are these \
         two numbers and what its figures are said to show.",
    );
    let [of_lr, of_lambda] = objectives.each_ref().map(Objective::sizes);
    let n = results.n_episodes;
    let scaled = if n == EPISODES && of_lr[0] >= 49_000 {
        "This is the paper's size".to_owned()
    } else {
        format!(
            "**Scaled down:** {n} episodes of {EPISODES}, and {} training pictures of 50,000. Whole it is without `--quick` and \
             `--scale`, with the published archive unpacked as `cifar-10-batches-bin` in the data folder; where that is not \
             there, it is done with the first 4,000 pictures. With so few pictures no accuracy here is that of the paper's nets",
            of_lr[0]
        )
    };
    document.paragraph(&format!(
        "{scaled}. Here: α_c = 1, {STEPS} steps; learning rate: {} pictures to train on and {} to test on; λ: {} to train on, \
         {} to validate and {} to test on. They are {}.",
        of_lr[0], of_lr[2], of_lambda[0], of_lambda[1], of_lambda[2], objectives[0].pictures
    ));
}

impl Results {
    fn of<'a>(&'a self, variant: &'a Variant) -> impl Iterator<Item = &'a Trained> {
        self.trained.iter().filter(|trained| std::ptr::eq(trained.variant, variant))
    }

    /// Runs on an objective net, by the networks at the end of each training.
    fn last<'a>(&'a self, variant: &'a Variant, net: usize) -> Vec<&'a Searched> {
        self.of(variant).filter_map(|trained| trained.last.get(net)).collect()
    }

    fn plain(&self, controlled: Controlled, net: usize) -> Vec<&Searched> {
        self.plain.iter().filter(|(it, ..)| *it == controlled).filter_map(|(.., runs)| runs.get(net)).collect()
    }
}

fn accuracies<'a>(runs: impl IntoIterator<Item = &'a Searched>) -> Vec<f64> {
    runs.into_iter().map(|run| 100.0 * run.test_accuracy).collect()
}

fn losses<'a>(runs: impl IntoIterator<Item = &'a Searched>) -> Vec<f64> {
    runs.into_iter().map(|run| run.train_loss.unwrap_or(f64::INFINITY)).collect()
}

fn rows(controlled: Controlled) -> impl Iterator<Item = &'static Variant> {
    VARIANTS.iter().filter(move |variant| variant.controls == controlled)
}

/// Figures 10 and 11.
fn against_plain_descent(objective: &Objective, results: &Results, document: &mut Document) {
    document.heading("Q-gradient descent against plain gradient descent (section 4.4)");
    let nets = objective.nets_in_words();
    let mut names = vec!["descent".to_owned()];
    names.extend(nets.iter().flat_map(|net| [format!("{net}: test accuracy, %"), "training loss".to_owned()]));
    let aligns = std::iter::once(Align::Left).chain(std::iter::repeat(Align::Right));
    let columns: Vec<(&str, Align)> = names.iter().map(String::as_str).zip(aligns).collect();
    let mut table = Table::new(&columns);
    let all: Vec<usize> = (0..nets.len()).collect();
    for (name, accuracy) in [("paper: plain", "about 30"), ("paper: its one good network", "about 40")] {
        let unsaid = std::iter::repeat_n("-", columns.len() - 2);
        table.row([name, accuracy].into_iter().chain(unsaid).map(str::to_owned));
    }
    let row = |name: &str, by_net: Vec<Vec<&Searched>>| {
        let cells = by_net
            .into_iter()
            .flat_map(|runs| [spread(&accuracies(runs.iter().copied()), 1), spread(&losses(runs.iter().copied()), 3)]);
        std::iter::once(name.to_owned()).chain(cells).collect::<Vec<String>>()
    };
    table.row(row("plain", all.iter().map(|&net| results.plain(Controlled::Lr, net)).collect()));
    for variant in rows(Controlled::Lr) {
        table.row(row(variant.name, all.iter().map(|&net| results.last(variant, net)).collect()));
    }
    document.table(&table);
    document.paragraph(
        "Accuracies and losses of x_T, T = 100, by the networks at the end of each training: medians over the seeds, with the \
         lowest and the highest. The agent was trained on the first net; the others it has never seen, and no batch but the \
         full one. Large batches (a tenth of the training pictures, 32 at least) are drawn anew for every step: there the loss \
         at a candidate says less, because it is that of other pictures.",
    );
    document.points(verdicts(
        Controlled::Lr,
        "by plain gradient descent (the paper's good network: about 10 points above)",
        results,
    ));
    let charts: Vec<Chart> = std::iter::zip(all, nets)
        .map(|(net, title)| {
            let line = |name: &str, color, runs: Vec<&Searched>| Line::new(name, color, mean_curve(&runs));
            let ours = rows(Controlled::Lr).last().map(|variant| results.last(variant, net)).unwrap_or_default();
            let lines = vec![
                line("Q-gradient descent, all cures", Color::BLUE, ours),
                line("plain gradient descent", Color::RED, results.plain(Controlled::Lr, net)),
            ];
            Chart { title, x: Axis::linear("step"), y: Axis::linear("loss of the batch"), lines }
        })
        .collect();
    let svg = svg_in_rows("Loss at every candidate (Figure 11 of the paper)", "mean over the seeds", &charts, 2);
    document.figure("descent", "training loss at every candidate, Q-gradient descent and plain", svg);
}

/// How far the test accuracy of each row is from that of plain descent.
fn verdicts(controlled: Controlled, rival: &str, results: &Results) -> Vec<String> {
    let plain = median(&accuracies(results.plain(controlled, 0)));
    let verdict = |variant: &'static Variant| {
        let ours = median(&accuracies(results.last(variant, 0)));
        let by = (ours - plain).abs();
        let word = if by < 0.05 { "as".to_owned() } else { format!("{by:.1} points {} that", side(ours > plain)) };
        format!("{}: test accuracy {word} {rival}", variant.name)
    };
    rows(controlled).map(verdict).collect()
}

fn side(is_above: bool) -> &'static str {
    if is_above { "above" } else { "**below**" }
}

fn mean_curve(runs: &[&Searched]) -> Vec<(f64, f64)> {
    let n = runs.iter().map(|run| run.losses.len()).min().unwrap_or(0);
    let at = |i: usize| mean(runs.iter().map(|run| run.losses[i].unwrap_or(f64::INFINITY)));
    (0..n).map(|i| ((i + 1) as f64, at(i))).collect()
}

/// Mean of the first and of the last quarter of a list.
fn ends(values: &[f64]) -> [f64; 2] {
    let n = values.len().div_ceil(4);
    [&values[..n], &values[values.len() - n..]].map(|part| mean(part.iter().copied()))
}

/// Figures 1, 2, 5, 6 and 12: the loss of the Q-network.
fn ablation(results: &Results, document: &mut Document) {
    document.heading("Does the Q-network converge? (section 4.3, Figures 1, 2, 5, 6)");
    document.table(&convergence(results, Controlled::Lr));
    document.paragraph(
        "Loss of the Q-network and mean size of its values, in the first and in the last quarter of the episodes, medians over \
         the seeds. The value of a state is at most the highest reward through 1 - γ: with the paper's reward, which is always \
         positive, values must climb for long before a loss can settle. A loss of rewards of another kind is in another \
         unit: compare within a row.",
    );
    let lines = rows(Controlled::Lr).enumerate().map(|(i, variant)| {
        let all: Vec<&Vec<f64>> = results.of(variant).map(|trained| &trained.learned.losses).collect();
        let n = all.iter().map(|losses| losses.len()).min().unwrap_or(0);
        let points = (0..n).map(|e| ((e + 1) as f64, mean(all.iter().map(|losses| losses[e])))).collect();
        Line::new(variant.name, Color::MANY[i % Color::MANY.len()], points)
    });
    let chart = Chart {
        title: "Loss of the Q-network".into(),
        x: Axis::linear("episode"),
        y: Axis::log("mean loss of the updates"),
        lines: lines.collect(),
    };
    let svg = svg_in_rows("Does the Q-network converge?", "mean over the seeds", std::slice::from_ref(&chart), 1);
    document.figure("convergence", "loss of the Q-network along the episodes", svg);
}

/// A figure of a training, one number an episode.
type Curve = fn(&Trained) -> &Vec<f64>;

fn convergence(results: &Results, controlled: Controlled) -> Table {
    let columns = ["Q-network", "loss first", "loss last", "size first", "size last", "then it"];
    let aligns = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Right, Align::Left];
    let mut table = Table::new(&std::array::from_fn::<_, 6, _>(|i| (columns[i], aligns[i])));
    for variant in rows(controlled) {
        let of = |values: Curve, end: usize| {
            number(median(&results.of(variant).map(|trained| ends(values(trained))[end]).collect::<Vec<_>>()))
        };
        let [loss, size]: [Curve; 2] = [|it| &it.learned.losses, |it| &it.learned.sizes];
        let moves = mean(results.last(variant, 0).into_iter().map(moves));
        let does = format!("moves {:.0} %, accepts {:.0} %", 100.0 * moves, 100.0 * (1.0 - moves));
        table.row([variant.name.to_owned(), of(loss, 0), of(loss, 1), of(size, 0), of(size, 1), does]);
    }
    table
}

/// Share of the steps of a run at which the value is not the one it began with.
fn moves(run: &Searched) -> f64 {
    let first = run.moved.first().copied().unwrap_or(0.0);
    let n = run.moved.iter().filter(|&&value| (value - first).abs() > 1e-12 * first.abs()).count();
    n as f64 / run.moved.len().max(1) as f64
}

/// Figures 7 to 9: how the learning rate was moved.
fn patterns(results: &Results, document: &mut Document) {
    document.heading("Adjusting patterns (section 4.4, Figures 7 to 9)");
    document.paragraph(
        "The paper saw three: small at first, then reset for the rest (Figure 7); falling to almost zero (Figure 8); falling, \
         reset, and falling once more near the end (Figure 9, the good one). These are the learning rates of our greedy \
         policies, by the networks after each quarter of a training (seed 0).",
    );
    let chart = |variant: &'static Variant| {
        let trained = results.of(variant).next();
        let lines = trained.into_iter().flat_map(|trained| trained.quarters.iter().enumerate()).map(|(i, run)| {
            let points = run.moved.iter().enumerate().map(|(t, &lr)| ((t + 2) as f64, lr)).collect();
            Line::new(&format!("after quarter {}", i + 1), Color::MANY[i], points)
        });
        let lines = lines.collect();
        Chart { title: variant.name.into(), x: Axis::linear("step"), y: Axis::log("learning rate"), lines }
    };
    let charts: Vec<Chart> = rows(Controlled::Lr).map(chart).collect();
    let svg = svg_in_rows("Learning rate of every step", "α_c = 1; the first M - 1 = 9 steps are plain", &charts, 2);
    document.figure("patterns", "learning rates of greedy policies over the steps", svg);
    let counts = rows(Controlled::Lr).map(|variant| {
        let runs = results.of(variant).flat_map(|trained| &trained.quarters);
        let mut named: Vec<&str> = runs.map(pattern).collect();
        named.sort_unstable();
        let of = |name: &str| named.iter().filter(|it| **it == name).count();
        let all: Vec<String> =
            PATTERNS.iter().filter(|name| of(name) > 0).map(|name| format!("{} of {name}", of(name))).collect();
        format!("{}: {}", variant.name, all.join(", "))
    });
    document.points(counts);
}

const PATTERNS: [&str; 5] = [
    "never moved",
    "pattern 1 (small, then reset)",
    "pattern 2 (falls to zero)",
    "pattern 3 (falls again at the end)",
    "others",
];

/// Which of the paper's patterns a run shows. Chosen by us: *at the end* is the last tenth, *almost zero* a thousandth, and
/// what goes up and down all the time is none of them.
fn pattern(run: &Searched) -> &'static str {
    let first = run.moved.first().copied().unwrap_or(1.0);
    let is_low: Vec<bool> = run.moved.iter().map(|&lr| lr < 0.99 * first).collect();
    let tail = is_low.len() - is_low.len().div_ceil(10);
    let falls_to_zero = run.moved.last().is_some_and(|&lr| lr < 1e-3 * first);
    let [early, late] = [&is_low[..tail], &is_low[tail..]].map(|part| part.contains(&true));
    let n_resets = is_low.windows(2).filter(|pair| pair[0] && !pair[1]).count();
    match (early, late, n_resets) {
        (false, false, _) => PATTERNS[0],
        (true, false, 1) => PATTERNS[1],
        _ if falls_to_zero && n_resets == 0 => PATTERNS[2],
        (true, true, 1) => PATTERNS[3],
        _ => PATTERNS[4],
    }
}

/// Section 4.5 and Figure 12.
fn lambda(results: &Results, document: &mut Document) {
    document.heading("The penalty λ (section 4.5, Figure 12)");
    document.paragraph("The paper reports that this Q-network did not converge either, and nothing else.");
    document.table(&convergence(results, Controlled::Lambda));
    let mut table =
        Table::new(&[("descent", Align::Left), ("test accuracy, %", Align::Right), ("training loss", Align::Right)]);
    let mut row = |name: &str, runs: Vec<&Searched>| {
        table.row([
            name.to_owned(),
            spread(&accuracies(runs.iter().copied()), 1),
            spread(&losses(runs.iter().copied()), 3),
        ]);
    };
    row("plain, λ held", results.plain(Controlled::Lambda, 0));
    for variant in rows(Controlled::Lambda) {
        row(variant.name, results.last(variant, 0));
    }
    document.table(&table);
    document.points(verdicts(Controlled::Lambda, "where λ is held", results));
}

fn differences(document: &mut Document) {
    document.heading("What differs from the paper, and why");
    document.points([
        "*As published* are here the learning rate of the Q-network, targets by the network that learns, ε, the reward and the \
         replay memory. Three faults of the published code are not built again, since each has a test of its own \
         (`tests/dqn_cures.rs`): features that were normalized otherwise for acting than for learning, targets that were \
         computed once and never again, an alignment that compared a gradient with itself. So even the first row is better off \
         than theirs was. Double Q-learning, the Huber loss and a bound on gradients are always there.",
        "They used gradient descent for the Q-network, then Adam at 0.025, 0.01 and 0.005 (section 4.3). Here it is Adam, at 0.05 \
         and, where it is cured, at 0.0005; ReLU, not sigmoid, is between \
         its layers, and it has the two hidden layers of section 4.2 (they went down to one, of a size that they do not name).",
        "The paper names neither γ (0.99 here), nor M (10), nor B (10), nor the constants of the reward (1 and 1.2), nor λ_c (a \
         weight decay of 0.01).",
        "Pixels are in [0, 1] and not standardized: plain gradient descent at α = 1 then has the 30 % of the paper (30.5 % with \
         2,000 pictures), while standardized it is another problem.",
        "In a scaled-down training ε falls over the same share of the episodes.",
    ]);
}

fn as_json(trained: &Trained) -> Json {
    json!({
        "variant": trained.variant.name,
        "controls": format!("{:?}", trained.variant.controls),
        "seed": trained.seed,
        "q_loss_by_episode": thinned(&trained.learned.losses),
        "mean_abs_q_by_episode": thinned(&trained.learned.sizes),
        "greedy": trained.last.iter().map(run_as_json).collect::<Vec<_>>(),
        "greedy_by_quarter": trained.quarters.iter().map(|run| json!({
            "test_accuracy": run.test_accuracy, "train_loss": run.train_loss, "pattern": pattern(run),
        })).collect::<Vec<_>>(),
    })
}

fn run_as_json(run: &Searched) -> Json {
    json!({
        "losses": thinned(&run.losses),
        "moved": thinned(&run.moved),
        "train_loss": run.train_loss,
        "test_loss": run.test_loss,
        "test_accuracy": run.test_accuracy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(moved: impl IntoIterator<Item = f64>) -> Searched {
        let moved = moved.into_iter().collect();
        let (losses, judged) = (Vec::new(), Vec::new());
        Searched { losses, moved, judged, train_loss: None, test_loss: None, test_accuracy: 0.0 }
    }

    #[test]
    fn the_three_patterns_are_told_apart() {
        let at = |i: usize, low: std::ops::Range<usize>| if low.contains(&i) { 0.25 } else { 1.0 };
        assert_eq!(pattern(&run([1.0; 99])), PATTERNS[0]);
        assert_eq!(pattern(&run((0..99).map(|i| at(i, 9..20)))), PATTERNS[1]);
        assert_eq!(pattern(&run((0..99).map(|i| 0.5f64.powi(i)))), PATTERNS[2]);
        assert_eq!(pattern(&run((0..99).map(|i| at(i, 9..20) * at(i, 95..99)))), PATTERNS[3]);
        assert_eq!(pattern(&run((0..99).map(|i| at(i, 50..99)))), PATTERNS[4]);
        assert_eq!(pattern(&run((0..99).map(|i| at(i, 9..20) * at(i, 30..40) * at(i, 95..99)))), PATTERNS[4]);
        assert!((moves(&run((0..100).map(|i| at(i, 0..0) * at(i, 75..100)))) - 0.25).abs() < 1e-9);
    }

    #[test]
    fn ends_are_quarters() {
        assert_eq!(ends(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]).map(f64::to_bits), [1.5, 7.5].map(f64::to_bits));
        assert_eq!(ends(&[1.0]).map(f64::to_bits), [1.0, 1.0].map(f64::to_bits));
    }
}
