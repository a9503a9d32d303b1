//! Modules of the program that have no place in the library. The fuzzer calls a part of them.

#![allow(dead_code, unused_macros, missing_docs)]

pub mod ask_tell;
#[macro_use]
#[path = "../../src/cli/console.rs"]
pub mod console;
pub mod failure;
#[path = "../../src/cli/trials.rs"]
pub mod trials;
pub mod tune;
