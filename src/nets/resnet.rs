//! A residual net for small pictures (He et al. 2016, the variant for CIFAR, with torchvision's `BasicBlock`).
//!
//! ```text
//! x = relu(norm(3x3 convolution(picture)))                              as many channels as the first stage
//! x = relu(norm(conv2(relu(norm(conv1(x))))) + shortcut(x))             blocks of each stage, 3x3 convolutions
//! output = W mean_of_pixels(x)
//! ```
//!
//! The first block of every stage but the first halves height and width: `conv1` has a stride of 2, and the shortcut is a
//! 1×1 convolution of the same stride with batch norm. Elsewhere the shortcut is x itself.
//!
//! Names and initial values are torchvision's: convolutions without bias in N(0, 2/fan_out), and `fc` for the head. With four
//! stages of two blocks, the parameters are those of `resnet18` with a 3×3 `conv1`.

use super::init::{Maker, Start};
use super::layers::{Dropout, Linear};
use super::norm::BatchNorm;
use super::{Mode, NetError};
use tch::{Tensor, nn};

/// What the stages are built from.
pub(super) struct Stages<'a> {
    /// Shape of one picture: channels, height, width.
    pub(super) shape: [usize; 3],
    pub(super) channels: &'a [usize],
    /// Number of blocks of each stage.
    pub(super) blocks: usize,
}

#[derive(Debug)]
pub(super) struct Resnet {
    stem: Convolution,
    blocks: Vec<Block>,
    head: Linear,
}

impl Resnet {
    pub(super) fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        stages: &Stages<'_>,
        n_outputs: usize,
    ) -> Result<Self, NetError> {
        let [picture, height, width] = stages.shape;
        let n_stages = stages.channels.len();
        let halved = |size: usize| (1..n_stages).fold(size, |size, _| size.div_ceil(2));
        // Batch norm needs two values even where the batch is one picture.
        if halved(height) * halved(width) < 2 {
            return Err(NetError::TooManyStages { height, width, n_stages });
        }
        let mut n = stages.channels.first().copied().unwrap_or(picture);
        let stem = Convolution::build(maker, [path.sub("conv1"), path.sub("bn1")], [picture, n], [3, 1])?;
        let mut blocks = Vec::new();
        for (stage, channels) in stages.channels.iter().enumerate() {
            for number in 0..stages.blocks {
                let path = path.sub(format!("layer{}", stage + 1)).sub(number);
                let halves = stage > 0 && number == 0;
                blocks.push(Block::build(maker, &path, [n, *channels], halves)?);
                n = *channels;
            }
        }
        Ok(Self { stem, blocks, head: Linear::build(maker, &path.sub("fc"), n, n_outputs)? })
    }

    pub(super) fn forward(&self, x: &Tensor, dropout: &Dropout, mode: &mut Mode<'_>) -> Result<Tensor, NetError> {
        let train = mode.is_train();
        let mut x = self.stem.forward(x, train)?.f_relu()?;
        for block in &self.blocks {
            x = block.forward(&x, train)?;
        }
        let features = x.f_adaptive_avg_pool2d([1, 1])?.f_flatten(1, -1)?;
        self.head.forward(&dropout.apply(features, mode)?)
    }
}

#[derive(Debug)]
struct Block {
    first: Convolution,
    second: Convolution,
    shortcut: Option<Convolution>,
}

impl Block {
    fn build(
        maker: &mut Maker<'_>,
        path: &nn::Path,
        [n_inputs, n_outputs]: [usize; 2],
        halves: bool,
    ) -> Result<Self, NetError> {
        let (stride, downsample) = (if halves { 2 } else { 1 }, path.sub("downsample"));
        let first = [path.sub("conv1"), path.sub("bn1")];
        let second = [path.sub("conv2"), path.sub("bn2")];
        let shortcut = [downsample.sub(0), downsample.sub(1)];
        Ok(Self {
            first: Convolution::build(maker, first, [n_inputs, n_outputs], [3, stride])?,
            second: Convolution::build(maker, second, [n_outputs, n_outputs], [3, 1])?,
            shortcut: halves
                .then(|| Convolution::build(maker, shortcut, [n_inputs, n_outputs], [1, stride]))
                .transpose()?,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, NetError> {
        let added = self.second.forward(&self.first.forward(x, train)?.f_relu()?, train)?;
        let x = self.shortcut.as_ref().map_or_else(|| Ok(x.shallow_clone()), |shortcut| shortcut.forward(x, train))?;
        Ok(added.f_add(&x)?.f_relu()?)
    }
}

/// A convolution without bias, and batch norm.
#[derive(Debug)]
struct Convolution {
    weight: Tensor,
    norm: BatchNorm,
    stride: i64,
    padding: i64,
}

impl Convolution {
    /// A convolution from `n_inputs` to `n_outputs` channels, with filters of `kernel` × `kernel`.
    fn build(
        maker: &mut Maker<'_>,
        [conv, norm]: [nn::Path<'_>; 2],
        [n_inputs, n_outputs]: [usize; 2],
        [kernel, stride]: [usize; 2],
    ) -> Result<Self, NetError> {
        let fan_out = (n_outputs * kernel * kernel) as f64;
        let start = Start::Normal((2.0 / fan_out.max(1.0)).sqrt());
        Ok(Self {
            weight: maker.parameter(&conv, "weight", &[n_outputs, n_inputs, kernel, kernel], start)?,
            norm: BatchNorm::build(maker, &norm, n_outputs)?,
            stride: stride as i64,
            padding: (kernel / 2) as i64,
        })
    }

    fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, NetError> {
        let (stride, padding) = ([self.stride; 2], [self.padding; 2]);
        let x = x.f_conv2d(&self.weight, None::<&Tensor>, stride, padding, [1, 1], 1)?;
        self.norm.forward(&x, train)
    }
}
