//! Examples held out of the training of a task, as a user's validation split is.
//!
//! They come from the same teacher and have the same share of wrong labels as those trained on. Holding examples out
//! uses no random draws, so a task that holds none out is the same as before.

use super::data::arg_max;
use super::{NetProblem, Problem, Task};
use crate::dqn::Judge;
use crate::meta::mlp::Target;
use crate::meta::recipe::TrainingRecipe;

impl Task {
    /// The task, judged as this recipe says. If its controller moves the weight decay, the task also reports the
    /// validation loss to it.
    #[must_use]
    pub fn of_recipe(self, recipe: &TrainingRecipe) -> Self {
        self.validated(recipe.training.reward.of, recipe.controller.watches_validation())
    }

    /// The task, judged by `judge`, with or without reports of the validation loss. If neither asks for a validation,
    /// nothing is held out. Quadratics have no examples: they are judged by their loss and report nothing.
    #[must_use]
    pub fn validated(mut self, judge: Judge, reports_validation: bool) -> Self {
        self.judge = judge;
        self.reports_validation = reports_validation;
        if let Problem::Net(p) = &mut self.problem {
            let n = p.n_examples();
            p.n_train = if reports_validation || judge != Judge::Loss { n - p.n_held_out } else { n };
        }
        self
    }

    /// The number that rewards and scores are made of: the evaluation loss, or loss and error on the examples held out.
    pub fn evaluate(&mut self, x: &[f32]) -> f64 {
        let held_out = match &mut self.problem {
            Problem::Net(p) if self.judge != Judge::Loss => Some(p.validate(x)),
            _ => None,
        };
        self.evaluate_after(held_out, x)
    }

    /// [`Task::evaluate`], with what the examples held out have just said at the same parameters.
    pub(in crate::meta) fn evaluate_after(&mut self, held_out: Option<HeldOut>, x: &[f32]) -> f64 {
        match held_out {
            Some(found) if self.judge != Judge::Loss => found.judged_by(self.judge),
            _ => self.problem.evaluate(x),
        }
    }

    /// Loss and error on the examples held out, if their loss is to be reported.
    pub(in crate::meta) fn reported_validation(&mut self, x: &[f32]) -> Option<HeldOut> {
        match &mut self.problem {
            Problem::Net(p) if self.reports_validation => Some(p.validate(x)),
            _ => None,
        }
    }
}

/// How good parameters are on the examples held out. Infinite if an output is not finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::meta) struct HeldOut {
    /// Mean cross-entropy, or mean squared error.
    pub loss: f64,
    /// Share of examples classified wrongly (Hu, Zhang and Shi, equation 9, which they call *error* and write as
    /// accuracy), or the mean squared error.
    pub error: f64,
}

impl HeldOut {
    /// Loss and error; both infinite if the loss is not finite.
    pub(in crate::meta) fn new(loss: f64, error: f64) -> Self {
        if loss.is_finite() { Self { loss, error } } else { Self { loss: f64::INFINITY, error: f64::INFINITY } }
    }

    /// The number that `judge` goes by. [`Judge::Loss`] goes by the evaluation batch and never asks for it.
    pub(in crate::meta) fn judged_by(&self, judge: Judge) -> f64 {
        match judge {
            Judge::Loss | Judge::ValidationLoss => self.loss,
            Judge::ValidationError => self.error,
            Judge::Validation => (self.loss * self.error).sqrt(),
        }
    }
}

impl NetProblem {
    fn validate(&mut self, x: &[f32]) -> HeldOut {
        let held_out = &self.inputs[self.n_train * self.n_in..];
        let n_places = self.net.n_places();
        let n = held_out.len() / self.n_in * n_places;
        let outputs = self.net.forward(x, held_out);
        if !outputs.iter().all(|v| v.is_finite()) {
            return HeldOut::new(f64::INFINITY, f64::INFINITY);
        }
        let width = outputs.len() / n.max(1);
        let rows = outputs.chunks_exact(width);
        let sums = match &self.target {
            Target::Classes(classes) => {
                rows.zip(&classes[self.n_train * n_places..]).fold([0.0; 2], |[loss, wrong], (row, &class)| {
                    [loss + cross_entropy(row, usize::from(class)), wrong + f64::from(u8::from(arg_max(row) != class))]
                })
            }
            Target::Values(values) => {
                let errors = outputs.iter().zip(&values[self.n_train * width..]);
                [errors.map(|(y, t)| f64::from(y - t).powi(2)).sum::<f64>() / width as f64; 2]
            }
        };
        let [loss, error] = sums.map(|sum| sum / n as f64);
        HeldOut { loss, error }
    }
}

/// -ln softmax(z)[class]
fn cross_entropy(z: &[f32], class: usize) -> f64 {
    let max = z.iter().fold(f32::NEG_INFINITY, |m, &v| m.max(v));
    let sum: f64 = z.iter().map(|&v| f64::from(v - max).exp()).sum();
    sum.ln() - f64::from(z[class] - max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meta::TaskConfig;
    use crate::rng::stream;

    #[test]
    fn examples_that_are_held_out_are_never_trained_on_and_judge_the_task() {
        let mlps = TaskConfig { families: vec![0.0, 0.0, 1.0, 0.0], ..TaskConfig::default() };
        let mut task = Task::draw(&mlps, &mut stream(5, "task")).validated(Judge::ValidationError, false);
        let (x, mut rng) = (task.start.clone(), stream(1, "batch"));
        let mut grad = vec![0.0; x.len()];
        for _ in 0..50 {
            task.loss_and_grad(&x, &mut grad, &mut rng);
            let Problem::Net(p) = &task.problem else { panic!("an MLP") };
            assert!(p.rows.iter().all(|&row| row < p.n_train));
        }
        let before = task.evaluate(&x);
        let Problem::Net(p) = &mut task.problem else { panic!("an MLP") };
        let Target::Classes(classes) = &mut p.target else { panic!("classes") };
        // One example after the other, forward by hand.
        let (n, n_in) = (classes.len(), p.n_in);
        assert_eq!(p.n_train, n - n / 4);
        let right = |p: &mut NetProblem, i: usize| {
            let row = p.inputs[i * n_in..(i + 1) * n_in].to_vec();
            arg_max(p.net.forward(&x, &row))
        };
        let found: Vec<u16> = (p.n_train..n).map(|i| right(p, i)).collect();
        let Target::Classes(classes) = &mut p.target else { panic!("classes") };
        let wrong = found.iter().zip(&classes[n - n / 4..]).filter(|(a, b)| a != b).count();
        assert!((before - wrong as f64 / (n / 4) as f64).abs() < 1e-12 && wrong > 0);
        // Labels of training examples do not matter to it, those held out do.
        classes[..n - n / 4].fill(0);
        classes[n - n / 4..].copy_from_slice(&found);
        assert!(task.evaluate(&x).abs() < 1e-12);
        assert!(task.problem.evaluate(&x) > 0.0);
    }

    #[test]
    fn the_validation_loss_is_the_mean_over_the_examples_held_out() {
        for families in [vec![0.0, 0.0, 1.0, 0.0], vec![0.0, 0.0, 0.0, 1.0]] {
            let config = TaskConfig { families, examples: Some([40, 40]), ..TaskConfig::default() };
            let mut task = Task::draw(&config, &mut stream(3, "task")).validated(Judge::ValidationLoss, true);
            let x = task.start.clone();
            let found = task.evaluate(&x);
            assert_eq!(task.reported_validation(&x).map(|held_out| held_out.loss.to_bits()), Some(found.to_bits()));
            let Problem::Net(p) = &mut task.problem else { panic!("a net") };
            assert_eq!((p.n_train, p.inputs.len() / p.n_in), (40, 552));
            let one = |p: &mut NetProblem, i: usize| {
                let row = p.inputs[i * p.n_in..(i + 1) * p.n_in].to_vec();
                f64::from(p.net.loss(&x, &row, &p.target, &[i]))
            };
            let mean = (40..552).map(|i| one(p, i)).sum::<f64>() / 512.0;
            assert!((found - mean).abs() < 1e-5 * mean, "{found} {mean}");
        }
    }

    #[test]
    fn a_task_that_nobody_validates_trains_on_all_examples_and_reports_nothing() {
        let mlps = TaskConfig { families: vec![0.0, 0.0, 1.0, 0.0], ..TaskConfig::default() };
        let mut task = Task::draw(&mlps, &mut stream(5, "task")).validated(Judge::Loss, false);
        let x = task.start.clone();
        assert_eq!(task.reported_validation(&x), None);
        let Problem::Net(p) = &task.problem else { panic!("an MLP") };
        assert_eq!(p.n_train, p.inputs.len() / p.n_in);
    }
}
