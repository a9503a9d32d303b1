//! The problems of a group as tensors: losses, gradients, evaluations.

use super::group::{Kind, NetKind};
use super::net::{Activations, Geometry, forward, views};
use super::padding::{n_numbers, pad, widest};
use super::rows::Rows;
use super::run::Feed;
use crate::dqn::Judge;
use crate::meta::architecture::{Architecture, Block};
use crate::meta::mlp::Target;
use crate::meta::tasks::{NetProblem, Problem, Task};
use std::ops::Range;
use tch::{Device, Kind as Number, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// What the nets of a group minimize.
pub(super) enum Stack {
    Quadratic(Bowls),
    Net(Box<Nets>),
}

/// Quadratics `½ Σ h (x - ξ)²`; the mean over a batch is in ξ.
pub(super) struct Bowls {
    /// Diagonals of H, `[n_nets, n_params]`.
    curvature: Tensor,
    /// Standard deviations of ξ, `[n_nets, 1]`, doubles.
    noise: Tensor,
}

/// Nets on data.
pub(super) struct Nets {
    architecture: Architecture,
    blocks: Vec<Block>,
    geometry: Geometry,
    classifies: bool,
    /// Inputs, `[n_examples of all nets, n_columns]`.
    inputs: Tensor,
    /// Classes, `[n_examples of all nets]`, or values, `[n_examples of all nets, n_out]`.
    targets: Tensor,
    each: Each,
    /// Weight of every example of a minibatch, `[n_nets, batch]`.
    weights: Tensor,
    evaluation: Part,
    /// None if nothing asks for a validation.
    held_out: Option<Part>,
}

/// What differs between nets.
struct Each {
    activations: Activations,
    /// Number added to each logit: 0, or minus infinity for a class that the net does not have; `[n_nets, 1, n_out]`.
    classes: Tensor,
    /// 1 / number of outputs, `[n_nets, 1]`.
    share: Tensor,
}

/// A fixed part of every net's examples, as rows of the inputs and the weight of each: `[n_nets, n]`.
struct Part {
    rows: Tensor,
    weights: Tensor,
}

/// Largest number of examples that pass through the nets at once in evaluations: the outputs of a layer then take some
/// 100 MB.
const AT_ONCE: i64 = 1 << 20;

impl Stack {
    /// The problems of these tasks, their parameters at the start `[n_nets, n_params]`, and what each net draws at
    /// every step.
    pub fn new(kind: Kind, tasks: &[Task], device: Device) -> Result<(Self, Tensor, Vec<Feed>)> {
        match kind.net {
            NetKind::Quadratic => Bowls::stack(tasks, device),
            NetKind::Net { architecture, classifies } => Nets::stack(kind, architecture, classifies, tasks, device),
        }
    }

    /// Shapes of the weights and biases as they are padded; none in quadratics.
    pub fn blocks(&self) -> &[Block] {
        match self {
            Self::Quadratic(_) => &[],
            Self::Net(nets) => &nets.blocks,
        }
    }

    /// Losses `[n_nets]` on a batch, and their gradients `[n_nets, n_params]`.
    pub fn losses_and_grads(&self, x: &Tensor, batch: &Tensor) -> Result<(Tensor, Tensor)> {
        match self {
            Self::Quadratic(bowls) => tch::no_grad(|| bowls.losses_and_grads(x, batch)),
            Self::Net(nets) => nets.losses_and_grads(x, batch),
        }
    }

    /// Loss and error, `[n, 2]` doubles, of some nets with the parameters `x`, `[n, n_params]`, on their evaluation
    /// batches.
    pub fn evaluate(&self, x: &Tensor, nets: &Rows) -> Result<Tensor> {
        match self {
            Self::Quadratic(bowls) => bowls.evaluate(x, nets),
            Self::Net(own) => own.judge(x, nets, &own.evaluation),
        }
    }

    /// The same on the examples that are held out; `None` if none are.
    pub fn validate(&self, x: &Tensor, nets: &Rows) -> Result<Option<Tensor>> {
        match self {
            Self::Quadratic(_) => Ok(None),
            Self::Net(own) => own.held_out.as_ref().map(|part| own.judge(x, nets, part)).transpose(),
        }
    }

    /// Whether examples are held out.
    pub fn validates(&self) -> bool {
        matches!(self, Self::Net(nets) if nets.held_out.is_some())
    }

    /// Drops all nets but these.
    pub fn keep(&mut self, nets: &Rows) -> Result<()> {
        match self {
            Self::Quadratic(bowls) => {
                bowls.curvature = nets.take(&bowls.curvature)?;
                bowls.noise = nets.take(&bowls.noise)?;
            }
            Self::Net(own) => {
                own.each = own.each.pick(|column| nets.take(column))?;
                own.weights = nets.take(&own.weights)?;
                own.evaluation = own.evaluation.pick(|column| nets.take(column))?;
                own.held_out = own.held_out.take().map(|part| part.pick(|column| nets.take(column))).transpose()?;
            }
        }
        Ok(())
    }
}

impl Bowls {
    fn stack(tasks: &[Task], device: Device) -> Result<(Stack, Tensor, Vec<Feed>)> {
        let of = |task: &Task| match &task.problem {
            Problem::Quadratic { curvature, noise } => Some((curvature.clone(), *noise)),
            Problem::Net(_) => None,
        };
        let (curvatures, noises): (Vec<_>, Vec<_>) = tasks.iter().filter_map(of).unzip();
        let width = curvatures.iter().map(Vec::len).max().unwrap_or(0);
        let filled_up = |rows: &mut dyn Iterator<Item = &Vec<f32>>| {
            let mut all = Vec::new();
            rows.for_each(|row| pad(row, &[[1, 1, row.len()]], &[[1, 1, width]], &mut all));
            matrix(&all, tasks.len(), device)
        };
        let start = filled_up(&mut tasks.iter().map(|task| &task.start))?;
        let feeds = curvatures.iter().zip(&noises);
        let feeds = feeds.map(|(own, &noise)| Feed::Noise { n: own.len(), noise, width }).collect();
        let noise: Vec<f64> = noises.iter().map(|&noise| noise.into()).collect();
        let noise = Tensor::f_from_slice(&noise)?.f_to_device(device)?.f_view([-1, 1])?;
        Ok((Stack::Quadratic(Self { curvature: filled_up(&mut curvatures.iter())?, noise }), start, feeds))
    }

    fn losses_and_grads(&self, x: &Tensor, xi: &Tensor) -> Result<(Tensor, Tensor)> {
        let d = x.f_sub(xi)?;
        let grad = self.curvature.f_mul(&d)?;
        let losses = grad.f_mul(&d)?.f_sum_dim_intlist(1, false, None)?.f_mul_scalar(0.5)?;
        Ok((losses, grad))
    }

    fn evaluate(&self, x: &Tensor, nets: &Rows) -> Result<Tensor> {
        let square = |t: Tensor| t.f_mul(&t);
        let spread = square(x.f_to_kind(Number::Double)?)?.f_add(&square(nets.take(&self.noise)?)?)?;
        let losses = nets.take(&self.curvature)?.f_mul(&spread)?.f_sum_dim_intlist(1, true, Number::Double)?;
        losses.f_mul_scalar(0.5)?.f_expand([-1, 2], false)
    }
}

impl Nets {
    fn stack(
        kind: Kind,
        architecture: Architecture,
        classifies: bool,
        tasks: &[Task],
        device: Device,
    ) -> Result<(Stack, Tensor, Vec<Feed>)> {
        let problems: Vec<&NetProblem> = tasks.iter().filter_map(|task| task.problem.net()).collect();
        let own: Vec<Vec<Block>> = problems.iter().map(|p| p.net.blocks()).collect();
        let blocks = widest(own.iter().map(Vec::as_slice));
        let mut start = Vec::with_capacity(tasks.len() * n_numbers(&blocks));
        tasks.iter().zip(&own).for_each(|(task, own)| pad(&task.start, own, &blocks, &mut start));
        let examples = Examples::of(&problems, classifies);
        let batch = problems.iter().map(|p| p.batch_size).max().unwrap_or(0);
        let feed = |(p, &base): (&&NetProblem, &usize)| Feed::Rows {
            n_train: p.n_train,
            batch_size: p.batch_size,
            base: base as i64,
            width: batch,
        };
        let feeds = problems.iter().zip(&examples.bases).map(feed).collect();
        let weights: Vec<f32> = problems.iter().flat_map(|p| weights(p.batch_size, batch)).collect();
        let parts = problems.iter().zip(&examples.bases);
        let evaluation = parts.clone().map(|(p, &base)| base..base + p.n_train.min(p.n_evaluation));
        let held_out = parts.map(|(p, &base)| base + p.n_train..base + p.n_examples());
        let validates = kind.reports_validation || kind.judge != Judge::Loss;
        let nets = Self {
            architecture,
            blocks,
            geometry: Geometry::new(architecture, device)?,
            classifies,
            inputs: matrix(&examples.inputs, examples.n, device)?,
            targets: match classifies {
                true => Tensor::f_from_slice(&examples.classes)?.f_to_device(device)?,
                false => matrix(&examples.values, examples.n, device)?,
            },
            each: Each::new(&problems, device)?,
            weights: matrix(&weights, tasks.len(), device)?,
            evaluation: Part::new(&evaluation.collect::<Vec<_>>(), device)?,
            held_out: validates.then(|| Part::new(&held_out.collect::<Vec<_>>(), device)).transpose()?,
        };
        Ok((Stack::Net(Box::new(nets)), matrix(&start, tasks.len(), device)?, feeds))
    }

    fn losses_and_grads(&self, x: &Tensor, rows: &Tensor) -> Result<(Tensor, Tensor)> {
        let leaf = |view: Tensor| view.f_detach()?.f_set_requires_grad(true);
        let layers: Vec<Tensor> = views(x, &self.blocks)?.into_iter().map(leaf).collect::<Result<_>>()?;
        let (losses, _) = self.of_examples(&self.each, &layers, rows)?;
        let losses = losses.f_mul(&self.weights)?.f_sum_dim_intlist(1, false, None)?;
        let grads = Tensor::f_run_backward(&[losses.f_sum(None)?], &layers, false, false)?;
        let flat: Vec<Tensor> = grads.iter().map(|grad| grad.f_flatten(1, 2)).collect::<Result<_>>()?;
        Ok((losses.f_detach()?, Tensor::f_cat(&flat, 1)?))
    }

    /// Loss and error, `[n, 2]`, of the nets on a part of their examples. Computed for a portion of the nets at a time.
    fn judge(&self, x: &Tensor, nets: &Rows, part: &Part) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        let (part, each) = (part.pick(|column| nets.take(column))?, self.each.pick(|column| nets.take(column))?);
        let size = part.rows.size();
        let portion = (AT_ONCE / size[1].max(1)).max(1);
        let judge = |from: i64| {
            let cut = |column: &Tensor| column.f_narrow(0, from, portion.min(size[0] - from));
            let (part, each) = (part.pick(cut)?, each.pick(cut)?);
            let (losses, errors) = self.of_examples(&each, &views(&cut(x)?, &self.blocks)?, &part.rows)?;
            let mean = |of: &Tensor| of.f_mul(&part.weights)?.f_sum_dim_intlist(1, false, Number::Double);
            Tensor::f_stack(&[mean(&losses)?, mean(&errors)?], 1)
        };
        let judged: Vec<Tensor> = (0..size[0]).step_by(portion as usize).map(judge).collect::<Result<_>>()?;
        Tensor::f_cat(&judged, 0)
    }

    /// Loss and error of every example in `rows`, `[n_nets, n]`; both have this shape.
    fn of_examples(&self, each: &Each, layers: &[Tensor], rows: &Tensor) -> Result<(Tensor, Tensor)> {
        let size = rows.size();
        let rows = rows.f_reshape([-1])?;
        let inputs = self.inputs.f_index_select(0, &rows)?.f_view([size[0], size[1], -1])?;
        let targets = self.targets.f_index_select(0, &rows)?;
        let outputs = forward(self.architecture, &self.geometry, &each.activations, layers, &inputs)?;
        if !self.classifies {
            let off = outputs.f_sub(&targets.f_view([size[0], size[1], -1])?)?;
            let losses = off.f_mul(&off)?.f_sum_dim_intlist(2, false, None)?.f_mul(&each.share)?;
            let errors = losses.f_detach()?;
            return Ok((losses, errors));
        }
        let (logits, classes) = (outputs.f_add(&each.classes)?, targets.f_view([size[0], size[1]])?);
        let log_shares = logits.f_log_softmax(2, None)?;
        let losses = log_shares.f_gather(2, &classes.f_unsqueeze(2)?, false)?.f_squeeze_dim(2)?.f_neg()?;
        Ok((losses, logits.f_argmax(2, false)?.f_ne_tensor(&classes)?.f_to_kind(Number::Float)?))
    }
}

/// Examples of all nets, one net after the other.
#[derive(Default)]
struct Examples {
    n: usize,
    /// Place of the first example of each net.
    bases: Vec<usize>,
    inputs: Vec<f32>,
    classes: Vec<i64>,
    values: Vec<f32>,
}

impl Examples {
    fn of(problems: &[&NetProblem], classifies: bool) -> Self {
        let mut all = Self::default();
        let shapes: Vec<[usize; 2]> = problems.iter().map(|p| p.net.input_shape(p.n_in)).collect();
        let n_channels = shapes.iter().map(|shape| shape[1]).max().unwrap_or(0);
        let n_out = problems.iter().map(|p| p.net.n_out()).max().unwrap_or(0);
        for (p, [places, own]) in problems.iter().zip(shapes) {
            let n = p.n_examples();
            all.bases.push(all.n);
            all.n += n;
            pad(&p.inputs, &[[n, places, own]], &[[n, places, n_channels]], &mut all.inputs);
            match &p.target {
                Target::Classes(classes) => all.classes.extend(classes.iter().map(|&class| i64::from(class))),
                Target::Values(values) => {
                    debug_assert!(!classifies);
                    pad(values, &[[1, n, p.net.n_out()]], &[[1, n, n_out]], &mut all.values);
                }
            }
        }
        all
    }
}

impl Each {
    fn new(problems: &[&NetProblem], device: Device) -> Result<Self> {
        let activations: Vec<_> = problems.iter().map(|p| p.net.activation()).collect();
        let n_out = problems.iter().map(|p| p.net.n_out()).max().unwrap_or(0);
        let classes = problems.iter().flat_map(|p| {
            let own = p.net.n_out();
            (0..n_out).map(move |class| if class < own { 0.0 } else { f32::NEG_INFINITY })
        });
        let shares: Vec<f32> = problems.iter().map(|p| 1.0 / p.net.n_out() as f32).collect();
        Ok(Self {
            activations: Activations::new(&activations, device)?,
            classes: matrix(&classes.collect::<Vec<f32>>(), problems.len(), device)?.f_unsqueeze(1)?,
            share: matrix(&shares, problems.len(), device)?,
        })
    }

    fn pick(&self, pick: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self {
            activations: self.activations.pick(&pick)?,
            classes: pick(&self.classes)?,
            share: pick(&self.share)?,
        })
    }
}

impl Part {
    /// The examples in these ranges, one range for each net. Shorter ranges are padded with examples of weight 0.
    fn new(ranges: &[Range<usize>], device: Device) -> Result<Self> {
        let width = ranges.iter().map(ExactSizeIterator::len).max().unwrap_or(0);
        let row = |range: &Range<usize>, i: usize| (range.start + if i < range.len() { i } else { 0 }) as i64;
        let rows: Vec<i64> = ranges.iter().flat_map(|range| (0..width).map(move |i| row(range, i))).collect();
        let weights: Vec<f32> = ranges.iter().flat_map(|range| weights(range.len(), width)).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(device)?.f_view([ranges.len() as i64, -1])?;
        Ok(Self { rows, weights: matrix(&weights, ranges.len(), device)? })
    }

    fn pick(&self, pick: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(Self { rows: pick(&self.rows)?, weights: pick(&self.weights)? })
    }
}

/// Weights for a mean over `n` examples: 1 / n each, and 0 for the padding up to `width`.
fn weights(n: usize, width: usize) -> impl Iterator<Item = f32> {
    (0..width).map(move |i| if i < n { 1.0 / n as f32 } else { 0.0 })
}

/// Copies values to the device as `[n_rows, n]`.
fn matrix(values: &[f32], n_rows: usize, device: Device) -> Result<Tensor> {
    Tensor::f_from_slice(values)?.f_to_device(device)?.f_view([n_rows as i64, -1])
}
