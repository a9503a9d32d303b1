#[path = "../../../src/cli/ask_tell/protocol.rs"]
pub mod protocol;
