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

/// An error and all its causes on one line.
pub fn in_words(error: &anyhow::Error) -> String {
    format!("{error:#}")
}
