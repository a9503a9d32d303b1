//! Tells the linker where libtorch is, so that `cargo run` and `cargo test` need no `LD_LIBRARY_PATH`.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // The folder that torch-sys linked against, whichever way it was found: LIBTORCH, LIBTORCH_LIB or LIBTORCH_USE_PYTORCH.
    let Ok(lib) = env::var("DEP_TCH_LIBTORCH_LIB") else { return };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    if env::var_os("CARGO_FEATURE_CUDA").is_some() {
        // Nothing calls into libtorch_cuda by name: without this the linker drops it and CUDA is never found.
        for argument in ["-Wl,--no-as-needed", &format!("-L{lib}"), "-ltorch_cuda", "-Wl,--as-needed"] {
            println!("cargo:rustc-link-arg={argument}");
        }
    }
}
