//! Tells the linker where libtorch is, so that `cargo run` and `cargo test` need no `LD_LIBRARY_PATH`, and tells the build script of
//! a program that depends on this crate the same: what a library says to the linker does not reach the programs that use it.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The folder that torch-sys linked against, whichever way it was found: LIBTORCH, LIBTORCH_LIB or LIBTORCH_USE_PYTORCH.
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    let mut argument = format!("-Wl,-rpath,{lib}");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        // Nothing calls into libtorch_cuda by name: without this the linker drops it and CUDA is never found.
        argument += &format!(",--no-as-needed,-L{lib},-ltorch_cuda,--as-needed");
    }
    println!("cargo:rustc-link-arg={argument}");
    // A dependent's build script reads it as DEP_QGD_LINK_ARG.
    println!("cargo:link_arg={argument}");
}
