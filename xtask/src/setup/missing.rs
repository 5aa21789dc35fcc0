//! What a machine lacks.

/// Something that this machine lacks and that could not be fetched either: one line saying what to install.
#[derive(Debug)]
pub(crate) struct Missing {
    pub(super) what: String,
    pub(super) install: String,
    pub(super) cause: anyhow::Error,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "no {} to be had here ({}): {}",
            self.what,
            last_line(&self.cause),
            self.install
        )
    }
}

impl std::error::Error for Missing {}

/// The cause may be many lines of another program's; the last one names the trouble.
pub(super) fn last_line(cause: &anyhow::Error) -> String {
    let cause = format!("{cause:#}");
    cause.lines().next_back().unwrap_or_default().to_owned()
}
