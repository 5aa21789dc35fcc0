//! Reading what herd7 writes.

use std::fmt;

use tlb_shootdown_litmus::Verdict;

/// What herd7 said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Verdict(Verdict),
    /// The outcome is in every execution, so the test is about nothing.
    Always,
    /// It gave no verdict on this test; what it said instead.
    Nothing(String),
    /// Its time was over.
    TooLong,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verdict(verdict) => verdict.fmt(f),
            Self::Always => f.write_str("Always"),
            Self::Nothing(said) => write!(f, "no verdict: {said}"),
            Self::TooLong => f.write_str("stopped at the time limit"),
        }
    }
}

/// The flag that the model raises where an entry is changed without a break.
const NEEDS_BREAK: &str = "Flag requires-BBM";

/// Reads the line `Observation NAME VERDICT POSITIVE NEGATIVE` and the flags.
pub(super) fn read(name: &str, stdout: &str, stderr: &str) -> Answer {
    let verdict = stdout.lines().find_map(|line| {
        let mut words = line.strip_prefix("Observation ")?.split(' ');
        (words.next() == Some(name)).then(|| words.next())?
    });
    let flagged = stdout.lines().any(|line| line.trim_end() == NEEDS_BREAK);
    match (verdict, flagged) {
        (Some("Never" | "Sometimes" | "Always"), true) => Answer::Verdict(Verdict::NeedsBreak),
        (Some("Never"), false) => Answer::Verdict(Verdict::Never),
        (Some("Sometimes"), false) => Answer::Verdict(Verdict::Sometimes),
        (Some("Always"), false) => Answer::Always,
        _ => {
            let said = stderr.lines().next().unwrap_or("nothing");
            Answer::Nothing(said.trim().to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = "Test unmap-page+emitted Allowed\nStates 3\n1:X1=0; ~Fault(P1:L1,x);\nNo\nWitnesses\n\
        Positive: 0 Negative: 4\nFlag Assuming-common-inner-shareable-domain\nCondition exists (...)\n\
        Observation unmap-page+emitted Never 0 4\nTime unmap-page+emitted 0.02\n";

    #[test]
    fn reads_each_verdict() {
        let name = "unmap-page+emitted";
        assert_eq!(read(name, ANSWER, ""), Answer::Verdict(Verdict::Never));
        let sometimes = ANSWER.replace("Never 0 4", "Sometimes 1 3");
        assert_eq!(
            read(name, &sometimes, ""),
            Answer::Verdict(Verdict::Sometimes)
        );
        let always = ANSWER.replace("Never 0 4", "Always 4 0");
        assert_eq!(read(name, &always, ""), Answer::Always);
        let flagged = ANSWER.replace("Condition", "Flag requires-BBM\nCondition");
        assert_eq!(
            read(name, &flagged, ""),
            Answer::Verdict(Verdict::NeedsBreak)
        );
    }

    #[test]
    fn no_verdict_is_none() {
        let warning = "Warning: File \"a.litmus\": Label L0 occurs more that once (User error)\n";
        assert!(matches!(read("a", "", warning), Answer::Nothing(said) if said.contains("L0")));
        assert_eq!(
            read("another", ANSWER, ""),
            Answer::Nothing("nothing".into())
        );
        assert_eq!(
            read("unmap-page", ANSWER, ""),
            Answer::Nothing("nothing".into())
        );
    }
}
