//! The `qgd` program: parse, run, exit code.

mod cli;

fn main() {
    cli::main();
}
