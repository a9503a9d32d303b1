//! Table 1 of the paper, with measured columns, and what they say about its words.

use super::problem::{Course, Size};
use super::results::{FEW, MOST_WORKERS, PRUNED, Results, best_loss, percent, times, wins};
use super::words::{FREE, PAPER, verdicts};
use super::{Finished, PRUNERS, RANDOM, TECHNIQUES, TRIALS, WORKERS, Way};
use crate::cli::reproduce::document::{Document, spread_in};
use crate::cli::reproduce::lab::Lab;
use crate::cli::reproduce::small_net::{EPOCHS, SmallNet};
use crate::cli::reproduce::studies::{Told, best};
use crate::cli::reproduce::taught::{EPISODES, LESSONS};
use qgd::report::{Align, Axis, Chart, Color, Line, Table, number, svg_in_rows};
use qgd::statistics::median;
use qgd::words::counted;
use serde_json::{Value as Json, json};

pub fn document(lab: &Lab, results: &Results) -> Document {
    let mut document = Document::new(lab, "Gardner, Chen and Walker: Table 1 with measured columns");
    introduction(lab, results, &mut document);
    table_1(results, &mut document);
    quality(results, &mut document);
    cost(results, &mut document);
    workers(results, &mut document);
    early_stopping(results, &mut document);
    document.heading("The paper's words, and what was measured");
    document.points(verdicts(results));
    let pairs = results.nets.len() * lab.seeds().len();
    document.paragraph(&format!(
        "Each share in one space is counted over {} of a data set and a seed, so a single one moves it by {:.0} %. A share is a \
         verdict where the sign test says that chance would make it as uneven in at most one of twenty cases; else it is left \
         open. Figures without a share are judged as they are: a speed-up of 3 or more with 4 workers is parallelizable, nine \
         tenths of that of random search or a loss of {FREE} times that without is a limit.",
        counted(pairs, "pair"),
        100.0 / pairs as f64
    ));
    differences(&mut document);
    data(results, &mut document);
    document
}

fn introduction(lab: &Lab, results: &Results, document: &mut Document) {
    document.paragraph(
        "Gardner, Chen and Walker, *Automated Hyperparameter Optimization Using Reinforcement Learning for Scalable Deep Learning \
         Models*, is a survey. Its Table 1 has pros and cons of five techniques in words, and no figure. Here each technique \
         gets figures: its quality at equal budget in a small and in a wide space, what it costs, how much sooner it ends with \
         workers, and what early stopping does to it.",
    );
    let sizes: Vec<String> = results.nets.iter().map(SmallNet::size_in_words).collect();
    let scaled = if results.n_trials >= TRIALS && !lab.quick() { "Whole" } else { "**Scaled down**" };
    document.paragraph(&format!(
        "{scaled}: {} trials a study (whole: {TRIALS}); agents are taught with {} random trials on each of the other data sets \
         (whole: {LESSONS}, {EPISODES} short studies). Here: {}; seeds: {}. Without `--quick` and `--scale` it is whole, with \
         all examples. A trial trains an MLP for {EPOCHS} epochs.",
        results.n_trials,
        results.n_lessons,
        sizes.join(", "),
        lab.seeds().len()
    ));
    document.points([
        "The **small space** has 4 parameters: learning rate, weight decay, batch size, units of one hidden layer.",
        "The **wide space** has 12, all of them keys of a task file: these, with one to three layers and units for each, and \
         activation, dropout, L1 penalty, optimizer (eight), conditioning.",
    ]);
}

/// A table whose first column is text.
fn table(columns: &[String]) -> Table {
    let align = |i: usize| if i == 0 { Align::Left } else { Align::Right };
    Table::new(&columns.iter().enumerate().map(|(i, name)| (name.as_str(), align(i))).collect::<Vec<_>>())
}

/// A table with a row for each technique.
fn by_technique<S: Into<String>>(columns: impl IntoIterator<Item = S>, cells: impl Fn(usize) -> Vec<String>) -> Table {
    let columns: Vec<String> =
        std::iter::once("technique".to_owned()).chain(columns.into_iter().map(Into::into)).collect();
    let mut table = table(&columns);
    for (i, technique) in TECHNIQUES.iter().enumerate() {
        let row: Vec<String> = std::iter::once(technique.name.to_owned()).chain(cells(i)).collect();
        table.row(row);
    }
    table
}

fn table_1(results: &Results, document: &mut Document) {
    document.heading("Table 1");
    let mut words =
        Table::new(&["technique in the paper", "pros", "cons", "applicability", "here"].map(|it| (it, Align::Left)));
    for (row, paper) in PAPER.iter().enumerate() {
        let here: Vec<&str> = TECHNIQUES.iter().filter(|it| it.row == row).map(|it| it.name).collect();
        words.row(paper.iter().map(|word| (*word).to_owned()).chain([here.join("; ")]));
    }
    document.table(&words);
    let columns = [
        "loss / random's, small",
        "loss / random's, wide",
        "trials to random's loss, small",
        "trials to random's loss, wide",
        "speed-up, 4 workers",
        "loss / alone, 4 workers",
        "steps saved by `median`",
        "loss / unpruned",
    ];
    let cells = |technique| {
        let quality = Size::ALL.map(|size| times(median(&results.through_random(size, technique, results.n_trials))));
        let cost = Size::ALL.map(|size| results.trials_in_words(results.until_random(size, technique)[0]));
        let rest = [
            speed_up(results, technique, MOST_WORKERS),
            times(median(&results.through_alone(&Size::ALL, technique, MOST_WORKERS))),
            percent(results.saved(&Size::ALL, technique, PRUNED)),
            times(median(&results.through_alone(&Size::ALL, technique, PRUNED))),
        ];
        quality.into_iter().chain(cost).chain(rest).collect()
    };
    document.table(&by_technique(columns, cells));
    document.paragraph(&format!(
        "Medians over data sets and seeds; *loss* is the best validation loss after {} trials, and {} is added to both losses \
         of a ratio, so that tiny ones do not count. Below 1 is better. A technique is always compared on the same net: same \
         split, same initial weights, same batches.",
        results.n_trials,
        qgd::statistics::SOLVED_LOSS
    ));
}

fn quality(results: &Results, document: &mut Document) {
    document.heading("Quality at equal budget");
    let n = results.n_trials;
    let few = FEW.min(n);
    for size in Size::ALL {
        let columns = results
            .nets
            .iter()
            .map(|net| format!("{} after {n}", net.name))
            .chain([format!("better than random after {few}"), format!("better than random after {n}")]);
        let cells = |technique| {
            let loss = |problem| {
                let own = results.of(size, technique, Way::Alone).filter(|study| study.problem == problem);
                spread_in(&own.map(|study| study.after(n)).collect::<Vec<_>>(), number)
            };
            let against =
                |n| if technique == RANDOM { "-".to_owned() } else { percent(results.wins(size, technique, n)) };
            (0..results.nets.len()).map(loss).chain([few, n].map(against)).collect()
        };
        document.paragraph(&format!("The {} space:", size.name()));
        document.table(&by_technique(columns, cells));
    }
    document.paragraph(
        "Best validation loss, median over the seeds (and between which values they lie); and in how many studies it is lower \
         than that of random search on the same net, ties counted half.",
    );
    let charts: Vec<Chart> = Size::ALL.into_iter().flat_map(|size| curves(results, size)).collect();
    let svg = svg_in_rows("Best validation loss so far", "median over the seeds", &charts, results.nets.len());
    document.figure(
        "trials",
        "best validation loss over the number of trials, small space above, wide space below",
        svg,
    );
}

fn curves(results: &Results, size: Size) -> Vec<Chart> {
    let chart = |(problem, net): (usize, &SmallNet)| {
        let line = |technique: usize| {
            let own: Vec<&Finished> =
                results.of(size, technique, Way::Alone).filter(|study| study.problem == problem).collect();
            let at = |n| median(&own.iter().map(|study| study.after(n)).collect::<Vec<_>>());
            line_of(technique, (1..=results.n_trials).map(|n| (n as f64, at(n))).collect())
        };
        let title = format!("{}, {} space", net.name, size.name());
        let lines = (0..TECHNIQUES.len()).map(line).collect();
        Chart { title, x: Axis::linear("trials"), y: Axis::log("validation loss"), lines }
    };
    results.nets.iter().enumerate().map(chart).collect()
}

fn line_of(technique: usize, points: Vec<(f64, f64)>) -> Line {
    Line::new(TECHNIQUES[technique].name, Color::MANY[technique], points)
}

fn cost(results: &Results, document: &mut Document) {
    document.heading("Cost");
    let columns = Size::ALL.into_iter().flat_map(|size| {
        let of = |what: &str| format!("{what}, {}", size.name());
        [of("trials to random's loss"), of("training steps to it"), of("steps before the study")]
    });
    let cells = |technique| {
        let of = |size| {
            let [trials, steps] = results.until_random(size, technique);
            let steps = if steps.is_finite() { format!("{steps:.0}") } else { "never".to_owned() };
            [results.trials_in_words(trials), steps, before(results, size, technique)]
        };
        Size::ALL.into_iter().flat_map(of).collect()
    };
    document.table(&by_technique(columns, cells));
    let whole = Size::ALL.map(|size| {
        let steps = results.of(size, RANDOM, Way::Alone).map(|study| study.steps().sum::<u64>() as f64);
        format!("{:.0} training steps in the {} space", median(&steps.collect::<Vec<_>>()), size.name())
    });
    document.paragraph(&format!(
        "Trials and training steps until a technique is as good as random search after {} trials (of random search itself: \
         until it finds its own best), medians over data sets and seeds. A whole study of random search makes {}. Before \
         its study a taught agent has cost the random trials on the other data sets, which serve all later studies. What a \
         proposal itself takes is milliseconds beside the seconds of a net, and a figure of one machine: `cargo bench --bench \
         tuner` measures it (`benches/tuner.rs`).",
        results.n_trials,
        whole.join(" and ")
    ));
}

/// Training steps that a technique has cost before its study begins.
fn before(results: &Results, size: Size, technique: usize) -> String {
    if TECHNIQUES[technique].sampler != super::TAUGHT {
        return "0".to_owned();
    }
    let steps: Vec<f64> = results.agents[size as usize].iter().map(|agent| agent.steps as f64).collect();
    format!("{:.0}", median(&steps))
}

fn speed_up(results: &Results, technique: usize, way: Way) -> String {
    times(median(&results.figures(&Size::ALL, technique, way, Finished::speed_up)))
}

fn workers(results: &Results, document: &mut Document) {
    document.heading("Speed-up with workers");
    let columns =
        ["speed-up, 1 worker", "2 workers", "4 workers", "loss / alone, 2 workers", "loss / alone, 4 workers"];
    let cells = |technique| {
        let ways = [Way::Alone, Way::Workers(WORKERS[0]), MOST_WORKERS];
        let price = |way| times(median(&results.through_alone(&Size::ALL, technique, way)));
        ways.map(|way| speed_up(results, technique, way))
            .into_iter()
            .chain(ways[1..].iter().copied().map(price))
            .collect()
    };
    document.table(&by_technique(columns, cells));
    document.paragraph(
        "The clock is computed, not measured: a training step takes one unit of time, a proposal none. Workers take trials in \
         order. Trial n is proposed by the results up to trial n - lag, and waits for them; the lag is the number of workers, as \
         `qgd tune --workers` has it. Grid and random search use no result: their lag is the number of trials, and no worker \
         waits. The speed-up is the sum of the steps of all trials through the time when the last one ends. It is below the \
         number of workers because trials take unequally many steps; the price of not waiting is the loss beside that of the \
         technique where each trial uses all results. Both spaces together, medians.",
    );
    let line = |technique: usize| {
        let ways = std::iter::once((1, Way::Alone)).chain(WORKERS.into_iter().map(|n| (n, Way::Workers(n))));
        let at = |way| median(&results.figures(&Size::ALL, technique, way, Finished::speed_up));
        line_of(technique, ways.map(|(n, way)| (n as f64, at(way))).collect()).marked()
    };
    let lines = (0..TECHNIQUES.len()).map(line).collect();
    let chart = Chart { title: "Speed-up".into(), x: Axis::linear("workers"), y: Axis::linear("times sooner"), lines };
    let svg = svg_in_rows(
        "Speed-up with workers",
        "median over both spaces, data sets and seeds",
        std::slice::from_ref(&chart),
        1,
    );
    document.figure("workers", "speed-up over the number of workers", svg);
}

fn early_stopping(results: &Results, document: &mut Document) {
    document.heading("Early stopping");
    let columns = Size::ALL
        .into_iter()
        .flat_map(|size| [format!("steps saved, {}", size.name()), format!("loss / unpruned, {}", size.name())]);
    let columns: Vec<String> = columns.collect();
    let cells = |technique, way| {
        let of = |size| {
            let price = median(&results.through_alone(&[size], technique, way));
            [percent(results.saved(&[size], technique, way)), times(price)]
        };
        Size::ALL.into_iter().flat_map(of).collect::<Vec<_>>()
    };
    document.table(&by_technique(columns.clone(), |technique| cells(technique, PRUNED)));
    document.paragraph(&format!(
        "The pruner `{}` with each technique: it looks at the validation loss after each epoch. *Steps saved* is the share of \
         the training steps of the same trials that were not made; medians.",
        PRUNERS[0]
    ));
    let columns: Vec<String> = std::iter::once("pruner, with random search".to_owned()).chain(columns).collect();
    let mut table = table(&columns);
    for (i, pruner) in PRUNERS.into_iter().enumerate() {
        table.row(std::iter::once(pruner.to_owned()).chain(cells(RANDOM, Way::Pruned(i))));
    }
    document.table(&table);
}

fn differences(document: &mut Document) {
    document.heading("What to make of it");
    document.points([
        "The paper compares nothing, so there is nothing to be equal to. Spaces, data sets, nets and budgets were chosen here, and \
         so were the readings of its words.",
        "Grid search gets the finest grid that the trials pay for: again and again the parameter with the fewest values gets one \
         more, the most important first. In the wide space most parameters then stay as they are in the task file, with one layer \
         of 12 units, which is what people do; it is a good guess of ours that the other techniques do not have.",
        "Points of a grid are tried in an order that the seed shuffles; the grid itself is the same for every seed.",
        "NAS is the recurrent controller of Zoph and Le, whose own search took 12,800 nets. With some dozens of trials it has made \
         a few updates.",
        "Meta-learning is here the transfer of a Q-network from data sets to another one, with as few trials there as are asked \
         for. Few-shot learning in the usual sense, of classes from few examples, is something else.",
        "Early stopping was computed from whole trainings: a net is trained to its end once, and shared by all studies that \
         propose it.",
        "A step is one unit of time, whatever the batch. On a real machine a step of a large batch takes longer, so that trials \
         take less unequally long.",
    ]);
}

fn data(results: &Results, document: &mut Document) {
    let alone = results.studies.iter().filter(|study| study.way == Way::Alone);
    document.data("studies", alone.map(|study| as_json(results, study)).collect());
    let pruners = PRUNERS.into_iter().enumerate().map(|(i, pruner)| {
        let of = |size: Size| {
            let (way, ratios) = (Way::Pruned(i), results.through_alone(&[size], RANDOM, Way::Pruned(i)));
            json!({ "steps_saved": results.saved(&[size], RANDOM, way), "loss_ratio": median(&ratios), "better": wins(&ratios) })
        };
        json!({ "pruner": pruner, "small": of(Size::Small), "wide": of(Size::Wide) })
    });
    document.data("pruners_with_random_search", pruners.collect());
}

/// A study alone, and what becomes of it with workers and with a pruner.
fn as_json(results: &Results, study: &Finished) -> Json {
    let finite = |loss: f64| Some(loss).filter(|loss| loss.is_finite());
    let other = |way| {
        results.of(study.size, study.technique, way).find(|it| (it.problem, it.seed) == (study.problem, study.seed))
    };
    let with_workers =
        |workers| other(Way::Workers(workers)).map(|it| json!([it.speed_up(), finite(best_loss(&it.trials))]));
    let found: Option<&Course> = best(&study.trials).map(|trial| &trial.outcome);
    json!({
        "space": study.size.name(),
        "data": results.nets[study.problem].name,
        "technique": TECHNIQUES[study.technique].name,
        "seed": study.seed,
        "n_trials": study.trials.len(),
        "steps": study.steps().sum::<u64>(),
        "few_loss": finite(study.after(FEW)),
        "loss": found.and_then(|course| finite(course.told())),
        "test_loss": found.and_then(|course| course.test),
        "speed_up_and_loss_with_2_workers": with_workers(WORKERS[0]),
        "speed_up_and_loss_with_4_workers": with_workers(WORKERS[1]),
        "steps_saved_and_loss_with_median": other(PRUNED).map(|it| json!([it.saved(), finite(best_loss(&it.trials))])),
    })
}
