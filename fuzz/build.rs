//! Lets the programs find libtorch when they start.

fn main() {
    if let Ok(argument) = std::env::var("DEP_QGD_LINK_ARG") {
        println!("cargo:rustc-link-arg={argument}");
    }
}
