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
    let batch_size = match task.train.batch_size {
        0 => data.train.len(),
        batch_size => batch_size,
    };
    check(&task.net, &task.data, data, batch_size)
}

fn check(net: &NetSpec, spec: &DataSpec, data: &Dataset, batch_size: usize) -> Result<(), NetError> {
    let n_examples = batch_size.max(CHUNK.min(data.train.len()));
    let needed_bytes = split_bytes(&data.train) + n_examples as u128 * example_floats(net, data) * FLOAT;
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

    fn refusal(hidden: &str, batch_size: usize, gb: f64) -> Result<(), String> {
        let text = format!(
            "[data]\nformat = \"csv\"\npath = \"../data/digits.csv.gz\"\ntarget = -1\nmax_memory_gb = {gb}\n\
             [net]\nkind = \"mlp\"\nhidden = {hidden}\n[train]\nsteps = 1\nbatch_size = {batch_size}\n"
        );
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/tasks/x.toml");
        let task = TaskSpec::parse(&text, &file).unwrap();
        let data = data::load(&task.data, task.directory(), None, 0).unwrap();
        check_memory(&task, &data).map_err(|error| error.to_string())
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
