//! Asking a QEMU what it has.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::emulator::{Emulator, Feature};
use super::start::Start;
use crate::process;

/// A program that answers questions about itself answers at once.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// A QEMU that has been asked.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    emulator: &'static Emulator,
    start: Start,
    /// The version it reports, such as `11.1.3`.
    pub(crate) version: String,
    features: Vec<Feature>,
    /// Why it is used although it lacks something wanted.
    for_want_of_another: Option<String>,
}

impl Qemu {
    /// A command that starts it, without any argument of a machine yet.
    pub(crate) fn command(&self) -> Command {
        self.start.command(self.emulator.program)
    }

    /// Whether it has something that not every QEMU has.
    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// What is wanted and not there.
    pub(super) fn lacks(&self) -> Vec<Feature> {
        let wanted = self.emulator.wanted.iter().copied();
        wanted.filter(|feature| !self.has(*feature)).collect()
    }

    /// The same, with the reason why it has to do.
    pub(super) fn for_want_of_another(self, why: String) -> Self {
        Self {
            for_want_of_another: Some(why),
            ..self
        }
    }

    /// One that nobody has asked: it has what it is said to have.
    #[cfg(test)]
    pub(crate) fn pretended(emulator: &'static Emulator, features: &[Feature]) -> Self {
        Self {
            emulator,
            start: Start::OnPath,
            version: "0.0.0".into(),
            features: features.to_vec(),
            for_want_of_another: None,
        }
    }

    /// Asks; an error where it cannot be started or lacks something needed.
    pub(super) fn probe(emulator: &'static Emulator, start: Start) -> Result<Self> {
        let ask = |words: &[&str]| {
            process::capture(start.command(emulator.program).args(words), PROBE_LIMIT)
        };
        let version = ask(&["--version"])?;
        if !version.success() {
            bail!("{} failed: {}", emulator.program, version.stderr.trim());
        }
        let version = parse_version(&version.stdout).context("QEMU's version cannot be read")?;
        let mut features = Vec::new();
        for group in [emulator.needed, emulator.wanted, emulator.instead] {
            for feature in group {
                // Where the device itself is unknown, the question fails and names nothing.
                let answer = ask(feature.question())?;
                if answer.stdout.lines().any(|line| feature.is_named(line)) {
                    features.push(*feature);
                }
            }
        }
        if let Some(missing) = emulator
            .needed
            .iter()
            .find(|feature| !features.contains(feature))
        {
            bail!("{} {version} has no {missing}", emulator.program);
        }
        Ok(Self {
            emulator,
            start,
            version,
            features,
            for_want_of_another: None,
        })
    }
}

impl std::fmt::Display for Qemu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, {}", self.version, self.start)?;
        for feature in self.lacks() {
            write!(f, ", without {feature}")?;
        }
        match &self.for_want_of_another {
            Some(cause) => write!(f, " (no other to be had here: {cause})"),
            None => Ok(()),
        }
    }
}

fn parse_version(text: &str) -> Option<String> {
    let rest = text.split_once("version ")?.1;
    Some(rest.split_whitespace().next()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::qemu::emulator::X86_64;

    #[test]
    fn says_what_is_wanted_and_not_there() {
        let all = X86_64.needed.iter().chain(X86_64.wanted);
        let all: Vec<_> = all.copied().collect();
        assert_eq!(Qemu::pretended(&X86_64, &all).lacks(), []);
        let of_10 = [
            Feature::Edu,
            Feature::DebugExit,
            Feature::VtdFirstStageExperimental,
        ];
        let of_10 = Qemu::pretended(&X86_64, &of_10).for_want_of_another("offline".into());
        assert_eq!(
            of_10.to_string(),
            "0.0.0, from the PATH, without VT-d first stage, without AMD DMA remapping, without iommu-testdev \
             (no other to be had here: offline)"
        );
    }

    #[test]
    fn reads_the_version() {
        let text = "QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)\nCopyright (c) 2003-2026\n";
        assert_eq!(parse_version(text).as_deref(), Some("11.1.3"));
        assert_eq!(
            parse_version("QEMU emulator version 7.2.0\n").as_deref(),
            Some("7.2.0")
        );
        assert_eq!(parse_version("something else"), None);
    }
}
