fn main() {
    // Where qgd found libtorch, for the linker of this program.
    if let Ok(argument) = std::env::var("DEP_QGD_LINK_ARG") {
        println!("cargo:rustc-link-arg={argument}");
    }
}
