//! Newton-Schulz iteration on tensors, G on the smaller side. See [`crate::polar`].

use super::TorchError;
use super::conditioning::Orthogonal;
use crate::polar::{TINY, coefficients};
use tch::{Kind, TchError, Tensor};

/// Coefficients of Muon (Keller Jordan 2024, <https://kellerjordan.github.io/posts/muon/>; `torch.optim.Muon`), for each of
/// its 5 steps.
const MUON: [[f64; 3]; 5] = [[3.4445, -4.7750, 2.0315]; 5];

/// Largest number of steps whose own error, 13 %, is above that of bfloat16.
const COARSE_STEPS: u32 = 5;
/// Room for the rounding of bfloat16, without which a singular value can leave the interval where the steps converge (the
/// safety factor of Amsel et al. 2025, see [`crate::polar`]).
const SAFETY: f64 = 1.01;

/// Turns a change, `[rows * columns]`, as [`Orthogonal`] says, in place. On a GPU the default number of steps is done in
/// bfloat16, as Muon's are (singular values within 18 % instead of 13 %); a change in double precision never is.
pub(super) fn condition(change: &mut Tensor, shape: [i64; 2], how: &Orthogonal) -> Result<(), TorchError> {
    let is_coarse = change.device().is_cuda() && how.steps <= COARSE_STEPS && change.f_kind()? != Kind::Double;
    condition_in(is_coarse.then_some(Kind::BFloat16), change, shape, how)
}

/// The same, with the iteration in this kind of numbers; where it is not said, in that of the norm.
fn condition_in(kind: Option<Kind>, change: &mut Tensor, shape: [i64; 2], how: &Orthogonal) -> Result<(), TorchError> {
    let start = Start::of(change, shape)?;
    let own = start.unit.f_kind()?;
    let unit = start.unit.f_to_kind(kind.unwrap_or(own))?;
    // The polynomials of X / safety.
    let safety: f64 = if kind.is_some() { SAFETY } else { 1.0 };
    let safe = coefficients(how.steps).map(|[a, b, c]| [a / safety, b / safety.powi(3), c / safety.powi(5)]);
    let mut direction = newton_schulz(&unit, safe)?.f_to_kind(own)?;
    if how.degree < 1.0 {
        let share = positive(&direction.f_norm()?)?.f_reciprocal()?.f_mul_scalar(how.degree)?;
        direction = direction.f_mul(&share)?.f_add(&start.unit.f_mul_scalar(1.0 - how.degree)?)?;
    }
    let scale = start.norm.f_div(&positive(&direction.f_norm()?)?)?;
    start.write(&direction.f_mul(&scale)?, change)
}

/// Orthogonalizes a matrix, `[rows * columns]`, as Muon does, and scales it to the root mean square of AdamW's steps
/// (`adjust_lr_fn="match_rms_adamw"`). PyTorch's iterates in bfloat16, this one in single precision.
pub(super) fn muon(matrix: &mut Tensor, shape: [i64; 2]) -> Result<(), TorchError> {
    let start = Start::of(matrix, shape)?;
    let direction = newton_schulz(&start.unit, MUON.into_iter())?;
    let rms = 0.2 * (shape[0].max(shape[1]) as f64).sqrt();
    start.write(&direction.f_mul_scalar(rms)?, matrix)
}

/// Where the iteration starts.
struct Start {
    is_tall: bool,
    norm: Tensor,
    /// The matrix with the norm 1, as a batch of one, so that libtorch multiplies and adds in one call; as wide as high or
    /// wider.
    unit: Tensor,
}

impl Start {
    fn of(flat: &Tensor, shape: [i64; 2]) -> Result<Self, TorchError> {
        let kind = if flat.f_kind()? == Kind::Double { Kind::Double } else { Kind::Float };
        let is_tall = shape[0] > shape[1];
        let matrix = flat.f_view([1, shape[0], shape[1]])?.f_to_kind(kind)?;
        let wide = if is_tall { matrix.f_transpose(1, 2)? } else { matrix };
        let norm = wide.f_norm()?;
        Ok(Self { is_tall, unit: wide.f_div(&positive(&norm)?)?, norm })
    }

    /// Writes a result into the matrix that was started from.
    fn write(&self, result: &Tensor, flat: &mut Tensor) -> Result<(), TorchError> {
        let result = if self.is_tall { result.f_transpose(1, 2)? } else { result.shallow_clone() };
        flat.f_view(result.size().as_slice())?.f_copy_(&result)?;
        Ok(())
    }
}

/// Orthogonalizes matrices of norm 1 at most, `[n, n_rows, n_columns]`, that are as wide as high or wider.
pub(crate) fn newton_schulz(unit: &Tensor, coefficients: impl Iterator<Item = [f64; 3]>) -> Result<Tensor, TchError> {
    let mut x = unit.shallow_clone();
    for [a, b, c] in coefficients {
        let gram = x.f_bmm(&x.f_transpose(1, 2)?)?;
        let polynomial = gram.f_baddbmm(&gram, &gram, b, c)?;
        x = x.f_baddbmm(&polynomial, &x, a, 1.0)?;
    }
    Ok(x)
}

fn positive(norm: &Tensor) -> Result<Tensor, TorchError> {
    Ok(norm.f_clamp_min(TINY)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// A matrix with these singular values, flat.
    fn with_singular_values(shape: [i64; 2], values: &[f64]) -> Tensor {
        tch::manual_seed(5);
        let square = |n: i64| Tensor::linalg_qr(&Tensor::randn([n, n], (Kind::Double, Device::Cpu)), "reduced").0;
        let diagonal = Tensor::zeros(shape, (Kind::Double, Device::Cpu));
        for (i, value) in values.iter().enumerate() {
            let _ = diagonal.get(i as i64).get(i as i64).fill_(*value);
        }
        square(shape[0]).mm(&diagonal).mm(&square(shape[1])).to_kind(Kind::Float).flatten(0, -1)
    }

    fn singular_values(flat: &Tensor, shape: [i64; 2]) -> Vec<f64> {
        let values = flat.to_kind(Kind::Double).view(shape).svd(true, true).1;
        Vec::<f64>::try_from(values).unwrap()
    }

    fn conditioned(shape: [i64; 2], values: &[f64], degree: f64, steps: u32) -> Vec<f64> {
        let mut matrix = with_singular_values(shape, values);
        condition(&mut matrix, shape, &Orthogonal { degree, steps, ..Orthogonal::default() }).unwrap();
        singular_values(&matrix, shape)
    }

    #[test]
    fn singular_values_become_alike_within_what_is_said_and_the_norm_is_kept() {
        let values = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.004];
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        for shape in [[7, 7], [7, 19], [19, 7]] {
            for (steps, within) in [(5, 0.13), (6, 0.002), (8, 1e-5)] {
                let found = conditioned(shape, &values, 1.0, steps);
                let alike = norm / 7f64.sqrt();
                assert!(found.iter().all(|v| (v / alike - 1.0).abs() < within), "{shape:?}, {steps} steps: {found:?}");
                let kept = found.iter().map(|v| v * v).sum::<f64>().sqrt();
                assert!((kept / norm - 1.0).abs() < 1e-6, "{kept} {norm}");
            }
        }
    }

    #[test]
    fn in_half_precision_they_become_as_alike() {
        let values = [3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.004];
        for (shape, values) in [([7, 7], values), ([7, 19], values), ([19, 7], values), ([7, 7], [1.0; 7])] {
            let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
            let mut matrix = with_singular_values(shape, &values);
            condition_in(Some(Kind::BFloat16), &mut matrix, shape, &Orthogonal::default()).unwrap();
            assert_eq!(matrix.kind(), Kind::Float);
            let found = singular_values(&matrix, shape);
            assert!(found.iter().all(|v| (v * 7f64.sqrt() / norm - 1.0).abs() < 0.18), "{shape:?}: {found:?}");
            let kept = found.iter().map(|v| v * v).sum::<f64>().sqrt();
            assert!((kept / norm - 1.0).abs() < 1e-6, "{kept} {norm}");
        }
    }

    #[test]
    fn half_a_degree_mixes_singular_values_and_keeps_the_norm() {
        let values = [3.0, 1.0, 0.3, 0.0];
        let norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
        // A singular value of 0 stays 0.
        let mixed = values.map(|v| if v > 0.0 { 0.25 * v / norm + 0.75 / 3f64.sqrt() } else { 0.0 });
        let scale = norm / mixed.iter().map(|v| v * v).sum::<f64>().sqrt();
        let found = conditioned([4, 6], &values, 0.75, 9);
        for (found, expected) in found.iter().zip(mixed) {
            // What rounding leaves of a singular value of 0 is scaled up, too.
            assert!((found - expected * scale).abs() < 2e-3, "{found} is not {}", expected * scale);
        }
    }

    #[test]
    fn no_change_stays_none_and_a_tiny_one_is_turned_too() {
        let mut none = Tensor::zeros([12], (Kind::Float, Device::Cpu));
        for degree in [0.5, 1.0] {
            condition(&mut none, [3, 4], &Orthogonal { degree, ..Orthogonal::default() }).unwrap();
            assert_eq!(none.abs().max().double_value(&[]).to_bits(), 0);
        }
        let found = conditioned([3, 4], &[1e-15, 1e-16, 1e-17], 1.0, 8);
        assert!(found[2] > 0.99 * found[0] && found[0] > 5e-16, "{found:?}");
    }

    #[test]
    fn a_matrix_of_muon_has_the_root_mean_square_of_adamw() {
        let mut matrix = with_singular_values([5, 8], &[3.0, 2.0, 1.0, 0.5, 0.3]);
        muon(&mut matrix, [5, 8]).unwrap();
        let found = singular_values(&matrix, [5, 8]);
        // 0.2 sqrt(8), and singular values that Muon leaves between 0.68 and 1.21.
        assert!(found.iter().all(|v| (0.68..1.21).contains(&(v / (0.2 * 8f64.sqrt())))), "{found:?}");
    }
}
