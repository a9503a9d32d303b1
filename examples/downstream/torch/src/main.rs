//! A linear layer under Adam, from a learning rate that is hopelessly low.

use qgd::{Controller, torch::QController};
use tch::{Device, Kind, Tensor, nn, nn::Module, nn::OptimizerConfig};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let vs = nn::VarStore::new(Device::Cpu);
    let net = nn::linear(vs.root(), 1, 1, Default::default());
    let x = Tensor::linspace(-1, 1, 64, (Kind::Float, Device::Cpu)).view([64, 1]);
    let y = &x * 3.0 - 1.0;
    let adam = nn::Adam::default().build(&vs, 1e-6)?;
    let mut opt = QController::wrap(adam, &vs, 1e-6, Controller::pretrained("lr")?)?;
    for _ in 0..300 {
        let loss = (net.forward(&x) - &y).square().mean(Kind::Float);
        opt.backward_step(&loss)?;
    }
    println!("the learning rate is now {}, after {} steps", opt.lr(), opt.steps());
    if opt.lr() < 1e-4 {
        return Err("the controller did not notice that the rate was too low".into());
    }
    Ok(())
}
