#[path = "../../../src/cli/tune/output.rs"]
pub mod output;
#[path = "../../../src/cli/tune/template.rs"]
pub mod template;
