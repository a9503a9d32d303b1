/// What a command line that cannot be used ends with.
#[derive(Debug)]
pub enum Failure {
    BadInput(anyhow::Error),
}
