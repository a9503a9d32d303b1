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
/// The same for one position of a block of a transformer, as often as it is wide: 8 outputs without activation and their
/// gradients, and the inside of the mlp, which is 4 times as wide.
const BLOCK_COPIES: u128 = 2 * 8 + COPIES * 4;
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
    let Floats { step, evaluation } = example_floats(net, data);
    let evaluated = CHUNK.min(data.train.len()) as u128;
    split_bytes(&data.train) + FLOAT * (batch_size as u128 * step).max(evaluated * evaluation)
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

/// Number of floats that one example takes.
struct Floats {
    /// In a step, which keeps what every layer puts out for the backward pass.
    step: u128,
    /// In an evaluation: the same, but for the nets of many equal blocks, which hold one of them at a time.
    evaluation: u128,
}

impl Floats {
    fn alike(step: u128) -> Self {
        Self { step, evaluation: step }
    }

    /// Those of `n` blocks, and of what is around them.
    fn of_blocks(around: u128, n: u128, block: u128) -> Self {
        Self { step: around + n * block, evaluation: around + block }
    }
}

fn example_floats(net: &NetSpec, data: &Dataset) -> Floats {
    let (hidden, n_outputs) = (net.hidden.iter().map(|n| *n as u128).sum::<u128>(), data.n_outputs as u128);
    // Embedding of every position, and outputs.
    let around = |embedding: usize, head: Head, length: usize| {
        let read = if head == Head::Each { length } else { 1 };
        COPIES * (length as u128 * embedding as u128 + read as u128 * n_outputs)
    };
    match (&net.kind, &data.train.inputs) {
        (NetKind::Cnn { channels, .. }, Inputs::Float { shape, .. }) => {
            let mut pixels = shape.iter().skip(1).map(|n| *n as u128).product::<u128>();
            let mut blocks = 0;
            for n in channels {
                blocks += COPIES * *n as u128 * pixels;
                pixels /= 4;
            }
            Floats::alike(blocks + COPIES * (hidden + n_outputs))
        }
        (NetKind::Resnet { channels, blocks }, Inputs::Float { shape, .. }) => {
            residual(channels, *blocks as u128, shape, COPIES * n_outputs)
        }
        (_, Inputs::Float { shape, .. }) => {
            Floats::alike(shape.iter().map(|n| *n as u128).product::<u128>() + COPIES * (hidden + n_outputs))
        }
        (NetKind::Gru { embedding, head } | NetKind::Lstm { embedding, head }, Inputs::Tokens { length, .. }) => {
            Floats::alike(around(*embedding, *head, *length) + RECURRENT_COPIES * hidden * *length as u128)
        }
        (NetKind::Transformer { embedding, layers, heads, head }, Inputs::Tokens { length, .. }) => {
            let attention = COPIES * *heads as u128 * *length as u128;
            let block = *length as u128 * (BLOCK_COPIES * *embedding as u128 + attention);
            Floats::of_blocks(around(*embedding, *head, *length), *layers as u128, block)
        }
        // Such a net does not read such data, which building it says.
        (_, Inputs::Tokens { .. }) => Floats::alike(0),
    }
}

/// Those of a residual net: a stem of one convolution, two in each block, and one in each shortcut that halves.
fn residual(channels: &[usize], blocks: u128, shape: &[usize], head: u128) -> Floats {
    let mut sides: Vec<usize> = shape.iter().skip(1).copied().collect();
    let (mut step, mut largest) = (head, 0);
    for (stage, n) in channels.iter().enumerate() {
        if stage > 0 {
            sides.iter_mut().for_each(|side| *side = side.div_ceil(2));
        }
        let one = COPIES * *n as u128 * sides.iter().map(|side| *side as u128).product::<u128>();
        step += one * (2 * blocks + 1);
        largest = largest.max(3 * one);
    }
    Floats { step, evaluation: head + largest }
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

    fn floats(net: &str, inputs: Inputs, n_outputs: usize) -> (u128, u128) {
        let text = format!("[data]\nformat='chars'\npath='x'\ncontext=1\n[net]\n{net}\n[train]\nsteps=1\n");
        let net = TaskSpec::parse(&text, Path::new("x.toml")).unwrap().net;
        let train = Split { inputs, targets: Targets::Classes { per_example: 1, ids: Vec::new() } };
        let (validation, test, preparation) = (train.clone(), train.clone(), Default::default());
        let kind = data::TargetKind::Classes;
        let data = Dataset { train, validation, test, n_outputs, n_tokens: 9, kind, class_weights: None, preparation };
        let Floats { step, evaluation } = example_floats(&net, &data);
        (step, evaluation)
    }

    #[test]
    fn attention_counts_by_the_square_of_the_length_and_blocks_are_evaluated_one_by_one() {
        let transformer = |layers: u128, heads: u128, length: usize| {
            let net = format!("kind='transformer'\nembedding=8\nlayers={layers}\nheads={heads}\nhead='mean'");
            floats(&net, Inputs::Tokens { length, ids: Vec::new() }, 3)
        };
        // 8 values and 3 outputs, each with its gradient, before and after; and per block 32 widths and the heads.
        let block = |heads: u128, length: u128| length * (32 * 8 + 4 * heads * length);
        assert_eq!(transformer(1, 2, 50), (4 * (50 * 8 + 3) + block(2, 50), 4 * (50 * 8 + 3) + block(2, 50)));
        assert_eq!(transformer(6, 2, 50), (4 * (50 * 8 + 3) + 6 * block(2, 50), 4 * (50 * 8 + 3) + block(2, 50)));
        assert!(transformer(1, 8, 1000).0 > 31 * transformer(1, 8, 100).0);
        let resnet = |blocks: u128| {
            let shape = vec![3, 9, 8];
            floats(
                &format!("kind='resnet'\nchannels=[2,3]\nblocks={blocks}"),
                Inputs::Float { shape, values: Vec::new() },
                5,
            )
        };
        // Stem or shortcut and two convolutions for each block, of 2 channels of 9x8 pixels and of 3 of 5x4.
        let at = |blocks: u128| 4 * 5 + 4 * (2 * blocks + 1) * (2 * 72 + 3 * 20);
        assert_eq!((resnet(1), resnet(4)), ((at(1), 4 * 5 + 4 * 3 * 144), (at(4), 4 * 5 + 4 * 3 * 144)));
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
