//! Nets of different widths in tensors of one shape.

use crate::meta::architecture::Block;

/// Widest extents over all nets, block by block.
pub(super) fn widest<'a>(nets: impl Iterator<Item = &'a [Block]>) -> Vec<Block> {
    let mut widest: Vec<Block> = Vec::new();
    for blocks in nets {
        widest.resize(widest.len().max(blocks.len()), [1; 3]);
        for (to, block) in widest.iter_mut().zip(blocks) {
            *to = std::array::from_fn(|d| to[d].max(block[d]));
        }
    }
    widest
}

/// Number of values in all blocks.
pub(super) fn n_numbers(blocks: &[Block]) -> usize {
    blocks.iter().map(|block| block.iter().product::<usize>()).sum()
}

/// Appends to `out` the values of `blocks`, padded with zeros to the extents of `padded`, whose outer ones are the
/// same.
pub(super) fn pad(values: &[f32], blocks: &[Block], padded: &[Block], out: &mut Vec<f32>) {
    let mut rest = values;
    for (&[outer, n_in, n_out], &[_, padded_in, padded_out]) in blocks.iter().zip(padded) {
        let (block, later) = rest.split_at(outer * n_in * n_out);
        rest = later;
        for rows in block.chunks_exact(n_in * n_out) {
            let base = out.len();
            for row in rows.chunks_exact(n_out) {
                out.extend_from_slice(row);
                out.resize(out.len() + padded_out - n_out, 0.0);
            }
            out.resize(base + padded_in * padded_out, 0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_fill_up_every_row_and_the_rows_that_are_missing() {
        let (small, wide) = ([[1, 2, 1], [2, 1, 1]], [[1, 1, 2], [2, 1, 2]]);
        let padded = widest([&small[..], &wide[..]].into_iter());
        assert_eq!((padded.clone(), n_numbers(&padded)), (vec![[1, 2, 2], [2, 1, 2]], 8));
        let mut out = Vec::new();
        pad(&[1.0, 2.0, 3.0, 4.0], &small, &padded, &mut out);
        assert_eq!(out, [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0]);
    }
}
