/// What a command line that cannot be used ends with.
#[derive(Debug)]
pub enum Failure {
    BadInput(anyhow::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self::BadInput(error) = self;
        write!(f, "{error:#}")
    }
}
