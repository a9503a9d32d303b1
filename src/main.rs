//! The `qgd` program.

fn main() {}
