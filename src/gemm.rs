//! Products a b of the small matrices of a net, at about the speed of the arithmetic alone. (A general library spends
//! most of the time of a product of 64 x 24 x 6 on preparations.)
//!
//! The columns of b are cut into panels of [`WIDTH`], padded with zeros. Rows of a are multiplied by a panel in
//! registers: six at a time, then four, then one by one. Every element is summed in the order of the inner index by
//! fused multiply-adds, from zero: the same bits on every processor. The registers are named here and not left to the
//! compiler, which finds them only where it optimizes most: tests train nets too.

/// Number of columns of a panel: two registers of eight floats. Six rows then take twelve of the sixteen registers of a
/// processor with AVX2.
const WIDTH: usize = 16;

/// A matrix whose element (i, j) is `data[i * strides[0] + j * strides[1]]`.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    data: &'a [f32],
    strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A row-major matrix with this number of columns.
    pub fn new(data: &'a [f32], n_columns: usize) -> Self {
        Self { data, strides: [n_columns, 1] }
    }

    /// The transpose.
    pub fn transposed(self) -> Self {
        Self { data: self.data, strides: [self.strides[1], self.strides[0]] }
    }
}

/// The right-hand side of products, cut into panels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels {
    /// All panels, `[panel, inner, WIDTH]`.
    data: Vec<f32>,
    inner: usize,
    n_columns: usize,
}

impl Panels {
    /// Lays out `b`, `[inner, n_columns]`.
    pub fn pack(&mut self, b: Matrix, inner: usize, n_columns: usize) {
        (self.inner, self.n_columns) = (inner, n_columns);
        self.data.clear();
        self.data.resize(n_columns.div_ceil(WIDTH) * inner * WIDTH, 0.0);
        for (p, panel) in self.data.chunks_exact_mut(inner * WIDTH).enumerate() {
            let columns = WIDTH.min(n_columns - p * WIDTH);
            for (k, row) in panel.as_chunks_mut::<WIDTH>().0.iter_mut().enumerate() {
                let from = k * b.strides[0] + p * WIDTH * b.strides[1];
                if b.strides[1] == 1 && columns == WIDTH {
                    // A length that the compiler knows: two moves instead of a call.
                    row.copy_from_slice(&b.data[from..from + WIDTH]);
                } else if b.strides[1] == 1 {
                    row[..columns].copy_from_slice(&b.data[from..from + columns]);
                } else {
                    row[..columns].iter_mut().enumerate().for_each(|(j, v)| *v = b.data[from + j * b.strides[1]]);
                }
            }
        }
    }

    /// Computes `c = a b + bias`, where `c` is `[rows, n_columns]`. Without a bias, it is zero.
    pub fn multiply(&self, a: Matrix, bias: Option<&[f32]>, c: &mut [f32]) {
        let product = Product { panels: self, a, bias, c };
        #[cfg(feature = "simd")]
        pulp::Arch::new().dispatch(product);
        #[cfg(not(feature = "simd"))]
        product.by(Floats);
    }

    #[inline(always)]
    fn multiply_panel<L: Lanes>(
        &self,
        lanes: L,
        a: Matrix,
        panel: &[f32],
        first: usize,
        bias: Option<&[f32]>,
        c: &mut [f32],
    ) {
        let columns = WIDTH.min(self.n_columns - first);
        let mut padded = [0.0; WIDTH];
        if let Some(bias) = bias {
            padded[..columns].copy_from_slice(&bias[first..first + columns]);
        }
        let n_rows = c.len() / self.n_columns;
        let mut row = 0;
        while row < n_rows {
            let (from, to) = (&a.data[row * a.strides[0]..], &mut c[row * self.n_columns + first..]);
            row += match n_rows - row {
                6.. => self.multiply_rows::<L, 6>(lanes, from, a.strides, panel, &padded[..columns], to),
                4.. => self.multiply_rows::<L, 4>(lanes, from, a.strides, panel, &padded[..columns], to),
                _ => self.multiply_rows::<L, 1>(lanes, from, a.strides, panel, &padded[..columns], to),
            };
        }
    }

    /// Writes the product of `N` rows of `a` and a panel to the first columns of `to`, as many as `bias` has. Returns
    /// `N`.
    #[inline(always)]
    fn multiply_rows<L: Lanes, const N: usize>(
        &self,
        lanes: L,
        a: &[f32],
        strides: [usize; 2],
        panel: &[f32],
        bias: &[f32],
        to: &mut [f32],
    ) -> usize {
        for (row, sums) in products::<L, N>(lanes, a, strides, panel).into_iter().enumerate() {
            store(&lanes.floats(sums), bias, &mut to[row * self.n_columns..][..bias.len()]);
        }
        N
    }
}

/// A product that is to be computed.
struct Product<'a> {
    panels: &'a Panels,
    a: Matrix<'a>,
    bias: Option<&'a [f32]>,
    c: &'a mut [f32],
}

impl Product<'_> {
    #[inline(always)]
    fn by(self, lanes: impl Lanes) {
        for (p, panel) in self.panels.data.chunks_exact(self.panels.inner * WIDTH).enumerate() {
            self.panels.multiply_panel(lanes, self.a, panel, p * WIDTH, self.bias, self.c);
        }
    }
}

#[cfg(feature = "simd")]
impl pulp::WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: pulp::Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.by(Registers::<S, 1>(simd)),
            8 => self.by(Registers::<S, 2>(simd)),
            4 => self.by(Registers::<S, 4>(simd)),
            _ => self.by(Floats),
        }
    }
}

/// How the sums of a row of a panel are kept while they are added up.
trait Lanes: Copy {
    type Sums: Copy;

    fn zeros(self) -> Self::Sums;

    /// Adds `a` times a row of a panel.
    fn add(self, sums: &mut Self::Sums, a: f32, b: &[f32; WIDTH]);

    fn floats(self, sums: Self::Sums) -> [f32; WIDTH];
}

/// One by one, or as the compiler has it.
#[derive(Clone, Copy)]
struct Floats;

impl Lanes for Floats {
    type Sums = [f32; WIDTH];

    #[inline(always)]
    fn zeros(self) -> Self::Sums {
        [0.0; WIDTH]
    }

    #[inline(always)]
    fn add(self, sums: &mut Self::Sums, a: f32, b: &[f32; WIDTH]) {
        for (sum, b) in sums.iter_mut().zip(b) {
            *sum = a.mul_add(*b, *sum);
        }
    }

    #[inline(always)]
    fn floats(self, sums: Self::Sums) -> [f32; WIDTH] {
        sums
    }
}

/// In `R` registers, which are as wide as a panel together.
#[cfg(feature = "simd")]
#[derive(Clone, Copy)]
struct Registers<S, const R: usize>(S);

#[cfg(feature = "simd")]
impl<S: pulp::Simd, const R: usize> Lanes for Registers<S, R> {
    type Sums = [S::f32s; R];

    #[inline(always)]
    fn zeros(self) -> Self::Sums {
        [self.0.splat_f32s(0.0); R]
    }

    #[inline(always)]
    fn add(self, sums: &mut Self::Sums, a: f32, b: &[f32; WIDTH]) {
        let (a, (b, _)) = (self.0.splat_f32s(a), S::as_simd_f32s(b));
        for i in 0..R {
            sums[i] = self.0.mul_add_f32s(a, b[i], sums[i]);
        }
    }

    #[inline(always)]
    fn floats(self, sums: Self::Sums) -> [f32; WIDTH] {
        let mut floats = [0.0; WIDTH];
        S::as_mut_simd_f32s(&mut floats).0.copy_from_slice(&sums);
        floats
    }
}

#[inline(always)]
fn store(sums: &[f32; WIDTH], bias: &[f32], to: &mut [f32]) {
    if let (Ok(to), Ok(bias)) = (<&mut [f32; WIDTH]>::try_from(&mut *to), <&[f32; WIDTH]>::try_from(bias)) {
        for j in 0..WIDTH {
            to[j] = bias[j] + sums[j];
        }
        return;
    }
    for ((to, bias), sum) in to.iter_mut().zip(bias).zip(sums) {
        *to = bias + sum;
    }
}

/// Product of `N` rows of `a` and a panel `[inner, WIDTH]`.
#[inline(always)]
fn products<L: Lanes, const N: usize>(lanes: L, a: &[f32], strides: [usize; 2], panel: &[f32]) -> [L::Sums; N] {
    let (panel, _) = panel.as_chunks::<WIDTH>();
    let mut sums = [lanes.zeros(); N];
    if strides[1] == 1 {
        let mut rows: [&[f32]; N] = [&[]; N];
        for (r, row) in rows.iter_mut().enumerate() {
            *row = &a[r * strides[0]..][..panel.len()];
        }
        for (k, b) in panel.iter().enumerate() {
            for r in 0..N {
                lanes.add(&mut sums[r], rows[r][k], b);
            }
        }
    } else {
        for (column, b) in a.chunks(strides[1]).zip(panel) {
            let column = &column[..N];
            for r in 0..N {
                lanes.add(&mut sums[r], column[r], b);
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use ndarray::Array2;
    use rand::RngExt;

    #[test]
    fn products_agree_with_ndarray_for_every_remainder_of_rows_and_columns() {
        let mut rng = stream(0, "gemm");
        let mut panels = Panels::default();
        for (rows, inner, columns) in [(1, 1, 1), (4, 3, 16), (5, 7, 17), (64, 24, 6), (11, 250, 40), (3, 2, 33)] {
            let mut draw =
                |n_rows, n_columns| Array2::from_shape_fn((n_rows, n_columns), |_| rng.random_range(-1.0f32..1.0));
            let (a, b, bias) = (draw(rows, inner), draw(inner, columns), draw(1, columns));
            let (a_t, b_t) = (a.t().as_standard_layout().to_owned(), b.t().as_standard_layout().to_owned());
            let data = |m: &Array2<f32>| m.iter().copied().collect::<Vec<f32>>();
            let (a_data, b_data, a_t_data, b_t_data) = (data(&a), data(&b), data(&a_t), data(&b_t));
            let [plain_a, plain_b] = [Matrix::new(&a_data, inner), Matrix::new(&b_data, columns)];
            let [turned_a, turned_b] =
                [(&a_t_data, rows), (&b_t_data, inner)].map(|(data, n)| Matrix::new(data, n).transposed());
            let exact = a.mapv(f64::from).dot(&b.mapv(f64::from));
            let mut first: Option<Vec<f32>> = None;
            for (a, b) in [(plain_a, plain_b), (turned_a, plain_b), (plain_a, turned_b), (turned_a, turned_b)] {
                let mut c = vec![f32::NAN; rows * columns];
                panels.pack(b, inner, columns);
                panels.multiply(a, bias.as_slice(), &mut c);
                for (i, &c) in c.iter().enumerate() {
                    let expected = exact[(i / columns, i % columns)] + f64::from(bias[(0, i % columns)]);
                    assert!(
                        (f64::from(c) - expected).abs() < 1e-5,
                        "{rows} x {inner} x {columns} at {i}: {c}, {expected}"
                    );
                }
                assert_eq!(*first.get_or_insert_with(|| c.clone()), c, "the same bits however they lie in memory");
            }
        }
    }
}
