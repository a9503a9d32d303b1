//! Random data: inputs, and targets made by random teacher networks or by clusters.

use crate::meta::mlp::{InnerActivation, Mlp, Target};
use crate::rng::{log_uniform, standard_normal_f32};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Number of examples in the evaluation batch of tasks with a known floor: more than elsewhere, because what is above the floor
/// is a small difference.
pub(super) const N_FRESH_EVALUATION: usize = 512;

/// The data of a net, those to be held out included.
pub(super) struct Examples {
    pub inputs: Vec<f32>,
    pub n_in: usize,
    pub target: Target,
    pub n_out: usize,
    pub n_held_out: usize,
    pub n_evaluation: usize,
    /// Loss that nothing can be below on the first `n_evaluation`, where it is known; else 0.
    pub floor: f64,
}

/// Correlated normal inputs: independent ones, column j scaled by `(j + 1)^-p`, then mixed at random.
pub(super) fn raw_inputs(n: usize, n_in: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let power = rng.random_range(0.0..1.2f32);
    let scales: Vec<f32> = (0..n_in).map(|j| ((j + 1) as f32).powf(-power)).collect();
    let mixed = rng.random_bool(0.7);
    let mixing: Vec<f32> = (0..n_in * n_in).map(|_| standard_normal_f32(rng) / (n_in as f32).sqrt()).collect();
    let mut inputs = Vec::with_capacity(n * n_in);
    for _ in 0..n {
        let z: Vec<f32> = scales.iter().map(|s| s * standard_normal_f32(rng)).collect();
        if mixed {
            inputs.extend(mixing.chunks_exact(n_in).map(|row| row.iter().zip(&z).map(|(m, z)| m * z).sum::<f32>()));
        } else {
            inputs.extend(z);
        }
    }
    standardize(&mut inputs, n_in);
    inputs
}

/// Outputs `[n, n_out]` of a random teacher network, each column standardized.
pub(super) fn teacher_outputs(inputs: &[f32], n_in: usize, n_out: usize, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let width = log_uniform(4.0, 48.0, rng) as usize;
    let sizes = if rng.random_bool(0.2) { vec![n_in, n_out] } else { vec![n_in, width, n_out] };
    let mut net = Mlp::new(sizes, InnerActivation::Tanh);
    let params = net.init(log_uniform(1.5, 6.0, rng) as f32, rng);
    let mut outputs = net.forward(&params, inputs).to_vec();
    standardize(&mut outputs, n_out);
    outputs
}

/// Classes by a random teacher network: its largest output. With the loss that nothing can be below on the first `n`.
pub(super) fn teacher_classes(
    inputs: &[f32],
    n_in: usize,
    n_classes: usize,
    noise: Option<[f64; 2]>,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> (Vec<u16>, f64) {
    let logits = teacher_outputs(inputs, n_in, n_classes, rng);
    let mut classes: Vec<u16> = logits.chunks_exact(n_classes).map(arg_max).collect();
    let floor = flip_labels(&mut classes, n_classes, noise, n, rng);
    (classes, floor)
}

/// Classes by Gaussian clusters, `per_class` of them for each, which lie far apart if the classes are to be separable.
/// The inputs are moved to their clusters.
pub(super) fn clusters(
    inputs: &mut [f32],
    n_in: usize,
    n_classes: usize,
    per_class: [u64; 2],
    separable: bool,
    rng: &mut ChaCha8Rng,
) -> Vec<u16> {
    let per_class = rng.random_range(per_class[0] as usize..=per_class[1] as usize);
    let distance = if separable { log_uniform(1.0, 3.0, rng) } else { log_uniform(0.3, 1.0, rng) } as f32;
    let centers: Vec<f32> = (0..per_class * n_classes * n_in).map(|_| distance * standard_normal_f32(rng)).collect();
    let classes = inputs
        .chunks_exact_mut(n_in)
        .map(|row| {
            let cluster = rng.random_range(0..per_class * n_classes);
            row.iter_mut().zip(&centers[cluster * n_in..]).for_each(|(x, c)| *x += c);
            (cluster % n_classes) as u16
        })
        .collect();
    standardize(inputs, n_in);
    classes
}

/// Replaces a share of the labels, log-uniform in `noise`, by random ones. Returns the mean surprise of the first `n` of them,
/// -ln p, for who knows all but the noise.
pub(super) fn flip_labels(
    classes: &mut [u16],
    n_classes: usize,
    noise: Option<[f64; 2]>,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> f64 {
    let Some([low, high]) = noise else { return 0.0 };
    let share = log_uniform(low, high, rng);
    let other = share / n_classes as f64;
    let n = n.min(classes.len());
    let mut surprise = 0.0;
    for (i, class) in classes.iter_mut().enumerate() {
        let before = *class;
        if rng.random_bool(share) {
            *class = rng.random_range(0..n_classes) as u16;
        }
        if i < n {
            surprise -= if *class == before { 1.0 - share + other } else { other }.ln();
        }
    }
    surprise / n.max(1) as f64
}

/// Values by a random teacher network, and the loss that nothing can be below on the first `n`. A third of the tasks have heavy
/// tails, as counts, prices and concentrations do, so that batches hold outliers; what their floor is nobody knows (0).
pub(super) fn teacher_values(
    inputs: &[f32],
    n_in: usize,
    noise: Option<[f64; 2]>,
    n: usize,
    rng: &mut ChaCha8Rng,
) -> (Target, f64) {
    let mut values = teacher_outputs(inputs, n_in, 1, rng);
    let mut squares = 0.0;
    if let Some([low, high]) = noise {
        let noise = log_uniform(low, high, rng) as f32;
        for (i, v) in values.iter_mut().enumerate() {
            let error = noise * standard_normal_f32(rng);
            *v += error;
            squares += if i < n { f64::from(error).powi(2) } else { 0.0 };
        }
    }
    let has_tails = rng.random_bool(1.0 / 3.0);
    if has_tails {
        let tail = rng.random_range(0.5..1.5f32);
        values.iter_mut().for_each(|v| *v = (tail * *v).exp());
    }
    let variance = variance(&values);
    standardize(&mut values, 1);
    let floor = if has_tails { 0.0 } else { squares / n.min(values.len()) as f64 / variance };
    (Target::Values(values), floor)
}

fn variance(values: &[f32]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n
}

/// Class of an example by the outputs of a net: the place of the largest one.
pub(super) fn arg_max(row: &[f32]) -> u16 {
    crate::dqn::argmax(row.iter().copied()) as u16
}

/// Leaves the inputs of some tasks with scales other than 1, as users do who do not standardize.
pub(super) fn rescale(inputs: &mut [f32], n_in: usize, rng: &mut ChaCha8Rng) {
    if rng.random_bool(0.3) {
        let overall = log_uniform(0.2, 5.0, rng) as f32;
        let columns: Vec<f32> = (0..n_in).map(|_| overall * log_uniform(0.5, 2.0, rng) as f32).collect();
        inputs.chunks_exact_mut(n_in).for_each(|row| row.iter_mut().zip(&columns).for_each(|(x, s)| *x *= s));
    }
}

/// Makes columns look like measured data: unchanged, with a heavy tail, mostly zero, or rounded. Each column is
/// standardized again.
pub(super) fn warp(inputs: &mut [f32], n_in: usize, rng: &mut ChaCha8Rng) {
    for j in 0..n_in {
        let (kind, strength) = (rng.random_range(0..4), rng.random_range(0.3..1.3f32));
        let warped = |x: f32| match kind {
            0 => x,
            1 => (strength * x).exp(),
            2 => (x - strength).max(0.0),
            _ => (x / strength).round(),
        };
        inputs.iter_mut().skip(j).step_by(n_in).for_each(|x| *x = warped(*x));
    }
    standardize(inputs, n_in);
}

/// Gives every column mean 0 and deviation 1.
pub(super) fn standardize(values: &mut [f32], n_columns: usize) {
    let n = (values.len() / n_columns) as f32;
    for j in 0..n_columns {
        let column = || (j..values.len()).step_by(n_columns);
        let mean = column().map(|i| values[i]).sum::<f32>() / n;
        let deviation = (column().map(|i| (values[i] - mean).powi(2)).sum::<f32>() / n).sqrt() + 1e-8;
        column().for_each(|i| values[i] = (values[i] - mean) / deviation);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;

    #[test]
    fn labels_are_noisy_only_where_the_task_is_not_separable() {
        let mut rng = stream(4, "labels");
        let mut classes = vec![7u16; 1000];
        assert!(flip_labels(&mut classes, 10, None, 1000, &mut rng).abs() < 1e-12);
        assert!(classes.iter().all(|&c| c == 7));
        let floor = flip_labels(&mut classes, 10, Some([0.3, 0.3]), 1000, &mut rng);
        // A tenth of the random labels are right.
        let wrong = classes.iter().filter(|&&c| c != 7).count();
        assert!((220..320).contains(&wrong), "{wrong}");
        let surprise = -((1000 - wrong) as f64) * 0.73f64.ln() - wrong as f64 * 0.03f64.ln();
        assert!((floor - surprise / 1000.0).abs() < 1e-9, "{floor}");
    }
    #[test]
    fn the_floor_of_noisy_values_is_what_their_teacher_does_not_explain() {
        let mut n_known = 0;
        for seed in 0..12 {
            let inputs = raw_inputs(3000, 5, &mut stream(seed, "inputs"));
            let teacher = teacher_outputs(&inputs, 5, 1, &mut stream(seed, "teacher"));
            let (noisy, floor) = teacher_values(&inputs, 5, Some([0.5, 0.5]), 3000, &mut stream(seed, "teacher"));
            let Target::Values(noisy) = noisy else { panic!("no values") };
            // Both have deviation 1.
            let correlation = teacher.iter().zip(&noisy).map(|(a, b)| f64::from(a * b)).sum::<f64>() / 3000.0;
            let unexplained = 1.0 - correlation.powi(2);
            if floor > 0.0 {
                n_known += 1;
                assert!((floor - unexplained).abs() < 0.02, "seed {seed}: {floor} and {unexplained}");
            }
        }
        assert!((4..12).contains(&n_known), "a third has tails: {n_known}");
    }
}
