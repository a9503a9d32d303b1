//! A gated recurrent unit (Cho et al. 2014, arXiv 1406.1078), with the reset gate where PyTorch has it: after the
//! recurrent product.
//!
//! ```text
//! r = σ(W_ir x + b_ir + W_hr h + b_hr)          z = σ(W_iz x + b_iz + W_hz h + b_hz)
//! c = tanh(W_ic x + b_ic + r (W_hc h + b_hc))   h' = c + z (h - c)                          h = 0 before the first place
//! ```
//!
//! The products with x are made for all places at once, those with h place by place. Everything lies place by place:
//! `[length, n, ...]` for n texts. The weights stand as PyTorch's do, turned: r, z and c side by side.

use super::{Layout, Start};
use crate::gemm::{Matrix, Panels};
use crate::meta::layers::Linear;
use crate::meta::tanh::tanh_in_place;
use crate::simd::vectorized;

/// A recurrent layer, and its working memory.
#[derive(Debug, Clone)]
pub(super) struct Gru {
    length: usize,
    width: usize,
    input: Linear,
    recurrent: Linear,
    kept: Kept,
    /// h before each place and after the last, `[length + 1, n, width]`.
    states: Vec<f32>,
    /// Gradient of the state behind a place, and what reaches the one before it through the products, `[n, width]`.
    d_state: Vec<f32>,
    d_through: Vec<f32>,
    panels: Panels,
}

/// What is computed on the way to the states, and kept for the way back.
#[derive(Debug, Clone, Default)]
struct Kept {
    /// Sums of the inputs and of the states, `[length, n, 3 width]`; later their gradients.
    from_input: Vec<f32>,
    from_state: Vec<f32>,
    /// r and z, `[length, n, 2 width]`.
    gates: Vec<f32>,
    /// c, `[length, n, width]`.
    candidates: Vec<f32>,
}

impl Kept {
    /// The part of one place; `state` is the one before it, `[n, width]`.
    fn at<'a>(&'a mut self, place: usize, width: usize, state: &'a [f32]) -> Place<'a> {
        let size = state.len();
        Place {
            width,
            from_input: &mut self.from_input[3 * place * size..][..3 * size],
            from_state: &mut self.from_state[3 * place * size..][..3 * size],
            gates: &mut self.gates[2 * place * size..][..2 * size],
            candidates: &mut self.candidates[place * size..][..size],
            state,
        }
    }
}

impl Gru {
    /// A layer whose initial weights are U(±1/√width), as PyTorch's.
    pub fn new(length: usize, n_in: usize, width: usize, layout: &mut Layout) -> Self {
        let start = [Start::Uniform { n_inputs: width }; 2];
        Self {
            length,
            width,
            input: layout.linear(n_in, 3 * width, start),
            recurrent: layout.linear(width, 3 * width, start),
            kept: Kept::default(),
            states: Vec::new(),
            d_state: Vec::new(),
            d_through: Vec::new(),
            panels: Panels::default(),
        }
    }

    /// States behind every place in the last forward pass, `[length, n, width]`.
    pub fn outputs(&self) -> &[f32] {
        &self.states[self.states.len() / (self.length + 1)..]
    }

    /// Computes the states for the inputs `x`, `[length, n, n_in]`.
    pub fn forward(&mut self, params: &[f32], x: &[f32]) {
        let size = x.len() / self.input.n_in / self.length * self.width;
        let kept = &mut self.kept;
        self.input.forward(params, x, &mut self.panels, &mut kept.from_input);
        kept.from_state.resize(3 * self.length * size, 0.0);
        kept.gates.resize(2 * self.length * size, 0.0);
        kept.candidates.resize(self.length * size, 0.0);
        self.states.resize((self.length + 1) * size, 0.0);
        self.states[..size].fill(0.0);
        self.recurrent.pack(params, &mut self.panels);
        for i in 0..self.length {
            let (states, later) = self.states.split_at_mut((i + 1) * size);
            let place = kept.at(i, self.width, &states[i * size..]);
            let biases = self.recurrent.biases(params);
            self.panels.multiply(Matrix::new(place.state, self.width), Some(biases), place.from_state);
            place.forward(&mut later[..size]);
        }
    }

    /// Gradient of the inputs, `d_x`, and of the parameters, at their places in `grad`, from the one of the states,
    /// `[length, n, width]`.
    pub fn backward(&mut self, params: &[f32], x: &[f32], d_states: &[f32], grad: &mut [f32], d_x: &mut Vec<f32>) {
        let size = d_states.len() / self.length;
        self.d_state.clear();
        self.d_state.resize(size, 0.0);
        self.d_through.clear();
        self.d_through.resize(size, 0.0);
        self.recurrent.pack_transposed(params, &mut self.panels);
        for i in (0..self.length).rev() {
            let reached = self.d_through.iter().zip(&d_states[i * size..]);
            self.d_state.iter_mut().zip(reached).for_each(|(d, (through, own))| *d += through + own);
            let place = self.kept.at(i, self.width, &self.states[i * size..][..size]);
            let d_sums = place.backward(&mut self.d_state);
            self.panels.multiply(Matrix::new(d_sums, 3 * self.width), None, &mut self.d_through);
        }
        let (before, kept) = (&self.states[..self.length * size], &self.kept);
        self.recurrent.backward(before, &kept.from_state, &mut self.panels, grad);
        self.input.backward(x, &kept.from_input, &mut self.panels, grad);
        self.input.d_inputs(params, &kept.from_input, &mut self.panels, d_x);
    }
}

/// What is computed at one place, of all texts.
struct Place<'a> {
    width: usize,
    from_input: &'a mut [f32],
    from_state: &'a mut [f32],
    gates: &'a mut [f32],
    candidates: &'a mut [f32],
    /// State before the place.
    state: &'a [f32],
}

impl<'a> Place<'a> {
    /// Computes gates, candidates and the next state. σ(a) = ½ + ½ tanh(½ a).
    fn forward(self, next: &mut [f32]) {
        let Self { width, from_input, from_state, gates, candidates, state } = self;
        let sums = || from_input.chunks_exact(3 * width).zip(from_state.chunks_exact(3 * width));
        vectorized(
            #[inline(always)]
            || {
                for (gates, (input, state)) in gates.chunks_exact_mut(2 * width).zip(sums()) {
                    for ((gate, a), b) in gates.iter_mut().zip(input).zip(state) {
                        *gate = 0.5 * (a + b);
                    }
                }
            },
        );
        tanh_in_place(gates);
        vectorized(
            #[inline(always)]
            || {
                let rows = gates.chunks_exact_mut(2 * width).zip(candidates.chunks_exact_mut(width));
                for ((gates, candidates), (input, state)) in rows.zip(sums()) {
                    gates.iter_mut().for_each(|gate| *gate = 0.5 + 0.5 * *gate);
                    let sums = input[2 * width..].iter().zip(&state[2 * width..]);
                    for ((c, r), (a, b)) in candidates.iter_mut().zip(&*gates).zip(sums) {
                        *c = a + r * b;
                    }
                }
            },
        );
        tanh_in_place(candidates);
        vectorized(
            #[inline(always)]
            || {
                let rows = next.chunks_exact_mut(width).zip(state.chunks_exact(width));
                let computed = gates.chunks_exact(2 * width).zip(candidates.chunks_exact(width));
                for ((next, state), (gates, candidates)) in rows.zip(computed) {
                    for (((next, h), z), c) in next.iter_mut().zip(state).zip(&gates[width..]).zip(candidates) {
                        *next = c + z * (h - c);
                    }
                }
            },
        );
    }

    /// Turns the sums into their gradients, and returns those of the state's. `d`, the gradient of the next state, becomes
    /// what reaches the state before the place without the products.
    fn backward(self, d: &mut [f32]) -> &'a [f32] {
        let Self { width, from_input, from_state, gates, candidates, state } = self;
        let sums = from_input.chunks_exact_mut(3 * width).zip(from_state.chunks_exact_mut(3 * width));
        let kept = gates.chunks_exact(2 * width).zip(candidates.chunks_exact(width)).zip(state.chunks_exact(width));
        vectorized(
            #[inline(always)]
            || {
                for ((d, (input, from_state)), ((gates, c), h)) in d.chunks_exact_mut(width).zip(sums).zip(kept) {
                    let ((r, z), (reset, rest)) = (gates.split_at(width), input.split_at_mut(width));
                    let (update, candidate) = rest.split_at_mut(width);
                    for j in 0..width {
                        let d_c = d[j] * (1.0 - z[j]) * (1.0 - c[j] * c[j]);
                        candidate[j] = d_c;
                        update[j] = d[j] * (h[j] - c[j]) * z[j] * (1.0 - z[j]);
                        reset[j] = d_c * from_state[2 * width + j] * r[j] * (1.0 - r[j]);
                        from_state[2 * width + j] = d_c * r[j];
                        from_state[width + j] = update[j];
                        from_state[j] = reset[j];
                        d[j] *= z[j];
                    }
                }
            },
        );
        from_state
    }
}
