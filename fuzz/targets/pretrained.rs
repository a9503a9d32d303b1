#![cfg_attr(fuzzing, no_main)]

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| qgd_fuzz::pretrained(bytes));

#[cfg(not(fuzzing))]
fn main() {}
