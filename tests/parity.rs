//! Decisions on a recorded run, step by step: what other languages that call the driver must decide as well. The Python package
//! replays `tests/fixtures/parity.txt`. `QGD_BLESS=1 cargo test --test parity` writes it anew.

use qgd::{Controller, Driver, Measure, Order};
use std::error::Error;
use std::fmt::Write;
use std::path::Path;

/// Curvatures of a bowl; its gradient has some noise.
const SLOPES: [f32; 6] = [30.0, 10.0, 3.0, 1.0, 0.3, 0.1];

/// A line for each step: loss, parameters and gradient as the bits of single precision, then what the driver answers: order, learning
/// rate and weight decay as the bits of double precision, and whether the state is kept.
fn record(name: &str, lr: f64) -> Result<String, Box<dyn Error>> {
    let controller = Controller::pretrained(name)?;
    let config = controller.driver_config(Some(300));
    let mut driver = Driver::new(controller, lr, 1e-3, config)?;
    let (mut x, mut measure) = ([1.0f32, -1.0, 2.0, -2.0, 3.0, -3.0], Measure::default());
    let (mut kept, first) = (x, x);
    let mut noise = 12345u32;
    let mut out = format!("{name} {lr:e}\n");
    for step in 0..300 {
        let mut grad = [0.0f32; 6];
        for ((g, x), slope) in grad.iter_mut().zip(&x).zip(SLOPES) {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *g = slope * x + 0.05 * ((noise >> 8) as f32 / 8_388_608.0 - 1.0);
        }
        let mut loss: f32 = x.iter().zip(SLOPES).map(|(x, slope)| 0.5 * slope * x * x).sum();
        if step == 90 || step == 91 || step == 200 {
            loss = f32::NAN;
        }
        let order = driver.step(&[loss], true, || measure.measure(&x, &grad));
        for number in std::iter::once(&loss).chain(&x).chain(&grad) {
            write!(out, "{:08x} ", number.to_bits())?;
        }
        let (kind, keep) = match order {
            Order::Apply { keep, .. } => ("apply", keep),
            Order::Skip => ("skip", false),
            Order::RollBack => ("roll_back", false),
            Order::Restart => ("restart", false),
        };
        let (lr, weight_decay) = match order {
            Order::Apply { lr, weight_decay, .. } => (lr, weight_decay),
            _ => (driver.lr(), driver.weight_decay()),
        };
        writeln!(out, "{kind} {:016x} {:016x} {}", lr.to_bits(), weight_decay.to_bits(), u8::from(keep))?;
        match order {
            Order::Apply { lr, keep, .. } => {
                kept = if keep { x } else { kept };
                (0..6).for_each(|i| x[i] -= lr as f32 * grad[i]);
            }
            Order::Skip => {}
            Order::RollBack => {
                x = kept;
                measure.rolled_back(&x);
            }
            Order::Restart => {
                (x, kept) = (first, first);
                measure = Measure::default();
            }
        }
    }
    Ok(out)
}

#[test]
fn the_decisions_are_those_that_other_languages_are_held_to() {
    let runs = [("lr", 1e-6), ("lr", 0.01), ("lr", 30.0), ("joint", 1e-4)];
    let found = runs.map(|(name, lr)| record(name, lr).unwrap()).concat();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity.txt");
    if std::env::var_os("QGD_BLESS").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    for (n, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
        assert_eq!(found, expected, "line {}", n + 1);
    }
    assert_eq!(found.len(), expected.len());
    for kind in ["apply", "skip", "roll_back", "restart"] {
        assert!(found.contains(kind), "the run shows no {kind}");
    }
}
