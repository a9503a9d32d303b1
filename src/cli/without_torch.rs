//! What takes the place of the commands that train a net, if the program was built without libtorch.

use super::failure::Failure;
use anyhow::anyhow;

/// Version of PyTorch that our tch is made for.
const TORCH: &str = "2.11.0";

#[derive(clap::Args)]
pub struct WithoutTorch {
    /// Whatever you wanted to train
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

impl WithoutTorch {
    pub fn run(&self) -> Result<(), Failure> {
        let wanted = self.arguments.join(" ");
        Err(Failure::BadInput(anyhow!(
            "cannot train {wanted}: this qgd was built without libtorch. In a checkout: `make libtorch && cargo build`. Elsewhere: \
             `pip install torch=={TORCH}`, then `LIBTORCH_USE_PYTORCH=1 cargo install qgd`"
        )))
    }
}
