//! Showing how far a longer step is.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A step with a known number of parts, or with none (`parts` = 0) a sign of life.
///
/// Where standard error is no terminal it is one line per step.
pub(crate) fn step(what: &str, parts: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        eprintln!("setup: {what}");
        return ProgressBar::hidden();
    }
    let (bar, template) = match parts {
        0 => (ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})"),
        parts => (ProgressBar::new(parts), "{msg} [{bar:30}] {pos}/{len}"),
    };
    // A wrong template only costs the looks.
    let style =
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    bar.set_style(style);
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}
