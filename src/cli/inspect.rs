//! `qgd inspect`: the recipe and the card of a pretrained controller, and what it does on a few tasks.

use anyhow::Result;
use clap::Args;
use qgd::controller::{Card, EvaluationRow};
use qgd::dqn::Judge;
use qgd::meta::{Portrait, TrainingRecipe};
use qgd::report::{Align, PAGE_WIDTH, Table, number, wrapped};
use qgd::{Controls, Recipe};
use serde_json::json;

/// Show what a pretrained controller is, how it was trained, and what it does on a few tasks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  qgd inspect lr\n  qgd inspect my-lr.qgd --json")]
pub struct InspectArgs {
    /// A pretrained file, or the name of a controller that ships with qgd.
    controller: String,
    /// Print JSON instead of tables.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &InspectArgs) -> Result<()> {
    let controller = super::open_controller(&args.controller)?;
    let portrait = Portrait::of(&controller)?;
    let training = TrainingRecipe::of(controller.recipe())?;
    if args.json {
        let whole = json!({ "recipe": controller.recipe(), "card": controller.card(), "portrait": portrait });
        say!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    print_recipe(controller.recipe(), controller.card());
    print_card(&training, controller.card());
    print_portrait(&portrait);
    Ok(())
}

/// What stands before a line that goes on with the one above it.
const INDENT: &str = "            ";

fn print_recipe(recipe: &Recipe, card: &Card) {
    say!("{}\n", wrapped(&format!("{}: {}", recipe.name, recipe.description), "", PAGE_WIDTH));
    let d = &recipe.pace;
    let later =
        d.fixed.map_or(format!("{} per doubling of the step count", d.per_doubling), |n| format!("every {n} steps"));
    let decides = match recipe.line_search {
        None if d.probe_steps == 0 => later,
        None => format!("at each of the first {} steps, then {later}", d.probe_steps),
        Some(search) => {
            let after = if search.reset_on_accept { "back to its start" } else { "kept" };
            format!("at every candidate of a line search from step {} on; on accept the step is {after}", search.memory)
        }
    };
    say!("controls    {:?}: {:?}", recipe.controls, recipe.moves);
    say!("sees        {:?}, {} features", recipe.features, recipe.features.names().len());
    say!("{}", wrapped(&format!("decides     {decides}"), INDENT, PAGE_WIDTH));
    if let Some(evidence) = recipe.halve_evidence.filter(|_| d.probe_steps > 0) {
        let rule = "it halves only where the loss has been lower by";
        let text = format!("{INDENT}in the first {} {rule} {evidence} standard errors", d.probe_steps);
        say!("{}", wrapped(&text, INDENT, PAGE_WIDTH));
    }
    say!("network     {:?}, dueling {}", recipe.network.hidden, recipe.network.dueling);
    if !card.parents.is_empty() {
        let names: Vec<&str> = card.parents.iter().map(|parent| parent.name.as_str()).collect();
        say!("made of     the networks of {}", names.join(" and "));
    }
}

/// What validation tasks are judged by, and who the rival is.
pub fn measured_by(recipe: &TrainingRecipe) -> (&'static str, &'static str) {
    let judged = match recipe.training.reward.of {
        Judge::Loss => "loss",
        Judge::ValidationLoss => "validation loss",
        Judge::ValidationError => "validation error",
        Judge::Validation => "validation loss times error, square root,",
    };
    let rival = match recipe.controller.controls {
        Controls::Lr => "best-tuned cosine",
        Controls::WeightDecay => "the best fixed weight decay",
        Controls::Both => "best-tuned cosine with the best fixed weight decay",
    };
    (judged, rival)
}

fn print_card(recipe: &TrainingRecipe, card: &Card) {
    say!("trained     by qgd {}, recipe {}, seed {}", card.crate_version, card.recipe_hash, card.seed);
    say!("            {} nets, {} inner steps, {} updates\n", card.episodes, card.inner_steps, card.updates);
    if card.evaluation.is_empty() {
        say!("It was not measured on validation tasks; `qgd evaluate` measures it.");
        return;
    }
    let (judged, rival) = measured_by(recipe);
    let heading =
        format!("On validation tasks that meta-training never drew (final {judged} + 0.01, over that of {rival}):");
    say!("{}", wrapped(&heading, "", PAGE_WIDTH));
    let mut table = Table::new(&[
        ("family", Align::Left),
        ("tasks", Align::Right),
        ("median start", Align::Right),
        ("worst start", Align::Right),
        ("rival, median", Align::Right),
    ]);
    for EvaluationRow { family, n_tasks, tuned_ratio, worst_ratio, rival_median_ratio } in &card.evaluation {
        table.row([
            family.clone(),
            n_tasks.to_string(),
            format!("{tuned_ratio:.2}"),
            format!("{worst_ratio:.2}"),
            format!("{rival_median_ratio:.2}"),
        ]);
    }
    say!("{table}");
}

fn print_portrait(portrait: &Portrait) {
    // A controller for line searches has no portrait.
    if portrait.rows.is_empty() {
        return;
    }
    let value = portrait.value;
    let heading = format!(
        "What it does (percent of halve / accept / grow, and {value} at the end of the phase over the {value} it started with):"
    );
    say!("{}", wrapped(&heading, "", PAGE_WIDTH));
    let mut table = Table::new(&[
        ("run", Align::Left),
        ("start", Align::Right),
        ("steps 0-63", Align::Right),
        (value, Align::Right),
        ("to half time", Align::Right),
        (value, Align::Right),
        ("second half", Align::Right),
        (value, Align::Right),
        ("loss", Align::Right),
    ])
    .with_max_width(PAGE_WIDTH);
    for row in &portrait.rows {
        let mut cells = vec![row.run.clone(), format!("{:.0e}", row.start)];
        for phase in &row.phases {
            let shares: Vec<String> = phase.shares.iter().map(|s| format!("{:.0}", 100.0 * s)).collect();
            cells.push(shares.join(" / "));
            cells.push(format!("×{}", number(phase.ratio)));
        }
        cells.push(format!("{} to {}", number(row.losses[0]), number(row.losses[1])));
        table.row(cells);
    }
    say!("{table}");
}
