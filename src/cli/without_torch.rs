//! What takes the place of the commands that train a net, if the program was built without libtorch.

use super::failure::Failure;
use anyhow::anyhow;

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
            "cannot train {wanted}: this qgd was built without libtorch; build it with the default features (`make libtorch && cargo build`)"
        )))
    }
}
