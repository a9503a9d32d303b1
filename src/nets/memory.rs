//! How much memory a training step takes, so that a net or a batch that is too large ends with a sentence.

use super::NetError;
use crate::data::{self, DataSpec, Dataset, Inputs, Split, Targets};
use crate::task::{Head, NetKind, NetSpec, TaskSpec};

/// Number of examples that [`evaluate`](super::evaluate) computes at a time.
const CHUNK: usize = 512;
/// Number of copies of what a layer puts out: before and after its activation, and the gradient of both.
const COPIES: u128 = 4;
/// The same for one position of a recurrent layer: its gates, and what the backward pass keeps of them.
const RECURRENT_COPIES: u128 = 12;
const FLOAT: u128 = size_of::<f32>() as u128;

/// Refuses a task of which one step, beside the training split, takes more memory than `data.max_memory_gb` allows.
///
/// # Errors
/// When it does, with both numbers.
pub fn check_memory(task: &TaskSpec, data: &Dataset) -> Result<(), NetError> {
    check(&task.net, &task.data, data, batch_size(task, data))
}

/// Refuses `n_runs` runs of a task side by side where they, and the data of `n_seeds` seeds, take more memory than
/// `data.max_memory_gb` allows, beside bytes that are taken already. Answers the bytes of the data of all seeds.
///
/// # Errors
/// When they do, with both numbers.
pub fn check_memory_of_runs(
    task: &TaskSpec,
    data: &Dataset,
    n_seeds: usize,
    n_runs: usize,
    beside_bytes: u128,
) -> Result<u128, NetError> {
    let split_by_seeds =
        n_seeds as u128 * [&data.train, &data.validation, &data.test].map(split_bytes).iter().sum::<u128>();
    let run = run_bytes(&task.net, data, batch_size(task, data));
    let needed_bytes = beside_bytes + split_by_seeds + n_runs as u128 * run;
    let allowed_bytes = data::memory_limit_bytes(&task.data);
    if needed_bytes > u128::from(allowed_bytes) {
        return Err(NetError::TooManyRuns { n_runs, n_seeds, needed_bytes, allowed_bytes });
    }
    Ok(split_by_seeds)
}

fn batch_size(task: &TaskSpec, data: &Dataset) -> usize {
    if task.train.batch_size == 0 { data.train.len() } else { task.train.batch_size }
}

/// Bytes that a run takes: its copy of the training split, and one step.
fn run_bytes(net: &NetSpec, data: &Dataset, batch_size: usize) -> u128 {
    let n_examples = batch_size.max(CHUNK.min(data.train.len()));
    split_bytes(&data.train) + n_examples as u128 * example_floats(net, data) * FLOAT
}

fn check(net: &NetSpec, spec: &DataSpec, data: &Dataset, batch_size: usize) -> Result<(), NetError> {
    let needed_bytes = run_bytes(net, data, batch_size);
    let allowed_bytes = data::memory_limit_bytes(spec);
    if needed_bytes > u128::from(allowed_bytes) {
        return Err(NetError::TooMuchMemory { batch_size, needed_bytes, allowed_bytes });
    }
    Ok(())
}

fn split_bytes(split: &Split) -> u128 {
    let inputs = match &split.inputs {
        Inputs::Float { values, .. } => size_of_val(&values[..]),
        Inputs::Tokens { ids, .. } => size_of_val(&ids[..]),
    };
    let targets = match &split.targets {
        Targets::Classes { ids, .. } => size_of_val(&ids[..]),
        Targets::Values { values, .. } => size_of_val(&values[..]),
    };
    (inputs + targets) as u128
}

/// Number of floats that one example takes in a step.
fn example_floats(net: &NetSpec, data: &Dataset) -> u128 {
    let (hidden, n_outputs) = (net.hidden.iter().map(|n| *n as u128).sum::<u128>(), data.n_outputs as u128);
    let recurrent = |embedding: usize, head: Head, length: usize| {
        let read = if head == Head::Each { length as u128 } else { 1 };
        length as u128 * (COPIES * embedding as u128 + RECURRENT_COPIES * hidden) + COPIES * read * n_outputs
    };
    match (&net.kind, &data.train.inputs) {
        (NetKind::Cnn { channels, .. }, Inputs::Float { shape, .. }) => {
            let mut pixels = shape.iter().skip(1).map(|n| *n as u128).product::<u128>();
            let mut blocks = 0;
            for n in channels {
                blocks += COPIES * *n as u128 * pixels;
                pixels /= 4;
            }
            blocks + COPIES * (hidden + n_outputs)
        }
        (_, Inputs::Float { shape, .. }) => {
            shape.iter().map(|n| *n as u128).product::<u128>() + COPIES * (hidden + n_outputs)
        }
        (NetKind::Gru { embedding, head } | NetKind::Lstm { embedding, head }, Inputs::Tokens { length, .. }) => {
            recurrent(*embedding, *head, *length)
        }
        // Such a net does not read such data, which building it says.
        (_, Inputs::Tokens { .. }) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn digits(hidden: &str, batch_size: usize, gb: f64) -> (TaskSpec, Dataset) {
        let text = format!(
            "[data]\nformat = \"csv\"\npath = \"../data/digits.csv.gz\"\ntarget = -1\nmax_memory_gb = {gb}\n\
             [net]\nkind = \"mlp\"\nhidden = {hidden}\n[train]\nsteps = 1\nbatch_size = {batch_size}\n"
        );
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks/x.toml");
        let task = TaskSpec::parse(&text, &file).unwrap();
        let data = data::load(&task.data, task.directory(), None, 0).unwrap();
        (task, data)
    }

    fn refusal(hidden: &str, batch_size: usize, gb: f64) -> Result<(), String> {
        let (task, data) = digits(hidden, batch_size, gb);
        check_memory(&task, &data).map_err(|error| error.to_string())
    }

    #[test]
    fn runs_side_by_side_and_the_data_of_every_seed_count() {
        let (task, data) = digits("[64]", 64, 0.005);
        let runs = |n_seeds, n_runs, beside| check_memory_of_runs(&task, &data, n_seeds, n_runs, beside);
        // 1437 of 1797 examples are for training, each of 64 floats and a class number of 8 bytes.
        assert_eq!(runs(2, 1, 0).unwrap(), 2 * 1797 * (64 * 4 + 8));
        assert!(runs(2, 1, 2_000_000).is_ok() && runs(2, 1, 3_900_000).is_err());
        let error = runs(9, 2, 0).unwrap_err().to_string();
        assert!(error.contains("2 runs") && error.contains("9 seeds") && error.contains("5.0 MB"), "{error}");
        assert!(runs(2, 9, 0).is_err());
    }

    #[test]
    fn a_step_that_is_too_large_is_refused_with_both_numbers() {
        assert_eq!(refusal("[64]", 64, 0.01), Ok(()));
        let error = refusal("[60000]", 0, 0.1).unwrap_err();
        // 1437 examples, 60,000 units four times over, 4 bytes each.
        assert!(error.contains("1437 examples") && error.contains("1.4 GB") && error.contains("100 MB"), "{error}");
        assert!(error.contains("batch_size") && error.contains("max_memory_gb"), "{error}");
        // A small batch does not help where the evaluation looks at 512 at a time.
        assert!(refusal("[60000]", 1, 0.1).is_err());
    }
}
