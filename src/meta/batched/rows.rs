//! Which nets of a group something is done to.

use tch::{Device, TchError, Tensor};

type Result<T> = std::result::Result<T, TchError>;

/// Some or all of the nets of a group.
pub(super) enum Rows {
    All,
    /// Places of these nets, ascending, `[n]`.
    Some(Tensor),
}

impl Rows {
    /// The nets at `places`, of `n` nets.
    pub fn of(places: &[usize], n: usize, device: Device) -> Result<Self> {
        if places.len() == n {
            return Ok(Self::All);
        }
        let places: Vec<i64> = places.iter().map(|&place| place as i64).collect();
        Ok(Self::Some(Tensor::f_from_slice(&places)?.f_to_device(device)?))
    }

    /// Rows of these nets. If they are all, this is `of` itself and no copy.
    pub fn take(&self, of: &Tensor) -> Result<Tensor> {
        match self {
            Self::All => Ok(of.shallow_clone()),
            Self::Some(places) => of.f_index_select(0, places),
        }
    }

    /// Overwrites the rows of these nets.
    pub fn put(&self, to: &mut Tensor, rows: &Tensor) -> Result<()> {
        match self {
            Self::All => to.f_copy_(rows),
            Self::Some(places) => to.f_index_copy_(0, places, rows).map(drop),
        }
    }
}
