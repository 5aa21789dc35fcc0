//! Which mistake is put back in this process. Only under `--cfg tlb_defects`, and with the standard library.
//!
//! Everything is said on standard error itself, past what a test harness captures: `cargo xtask mutants` reads it.

use super::Defect;
use std::io::Write;
use std::string::String;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{env, format, process};

/// Names the mistake; none where it is not set or empty.
const VARIABLE: &str = "TLB_DEFECT";

static SELECTED: OnceLock<Option<Defect>> = OnceLock::new();
static REACHED: AtomicBool = AtomicBool::new(false);

impl Defect {
    /// Whether the library is to make this mistake. The first time that it does is told.
    pub(crate) fn is_put_back(self) -> bool {
        let is_selected = *SELECTED.get_or_init(selected) == Some(self);
        if is_selected && !REACHED.swap(true, Ordering::Relaxed) {
            say("reached", self.name());
        }
        is_selected
    }

    fn name(self) -> &'static str {
        let mut all = Self::ALL.iter();
        let named = all.find(|(defect, ..)| *defect == self);
        named.map_or("", |(_, name, _)| name)
    }
}

/// A name that stands for nothing ends the process: a test that then fails would pass for one that has noticed something.
fn selected() -> Option<Defect> {
    let name = env::var_os(VARIABLE).filter(|name| !name.is_empty())?;
    if let Some((defect, ..)) = Defect::ALL.iter().find(|(_, known, _)| name == *known) {
        return Some(*defect);
    }
    say("unknown", &name.to_string_lossy());
    for (_, known, what) in Defect::ALL {
        say("known", &format!("{known}:{what}"));
    }
    process::abort()
}

fn say(what: &str, of_it: &str) {
    let line: String = format!("tlb-defects: {what} {of_it}\n");
    // Nobody could be told that it cannot be told; the mistake then counts as not made.
    let _ = std::io::stderr().write_all(line.as_bytes());
}
