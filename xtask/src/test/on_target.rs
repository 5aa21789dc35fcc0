//! The tests that run on the emulated machine, one boot each.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::arch::{self, Architecture, Ends, Machine};
use crate::setup::Qemu;
use crate::setup::qemu::{self, Feature};
use crate::test::embedded_test::{self, Test};
use crate::test::tally::Tally;
use crate::{kernel, process};

/// Where a test names no limit. A boot takes a few tenths of a second.
const LIMIT: Duration = Duration::from_secs(30);

/// How the names of tests end that need the device `iommu-testdev`, which QEMU has from version 11 on.
const NEEDS_TESTDEV: &str = "_of_a_testdev";

/// Builds and runs every on-target test of every architecture.
pub(crate) fn run() -> Tally {
    let mut tally = Tally::default();
    for arch in arch::ALL {
        let of_one = run_arch(arch);
        tally.add(of_one.unwrap_or_else(|error| {
            Tally::failure(format!("on-target: {}: {error:#}", arch.name))
        }));
    }
    tally
}

fn run_arch(arch: &'static Architecture) -> Result<Tally> {
    let qemu = qemu::find_or_fetch(arch.emulator);
    let mut tally = Tally::default();
    for elf in kernel::build_tests(arch)? {
        let tests = embedded_test::list(&fs::read(&elf)?)
            .with_context(|| format!("in {}", elf.display()))?;
        let binary = binary_name(&elf);
        let machines = arch.machines_of_tests(&binary);
        let runs = machines
            .iter()
            .flat_map(|machine| tests.iter().map(move |test| (*machine, test)));
        for (machine, test) in runs {
            let place = match machines.as_slice() {
                [_] => String::new(),
                _ => format!("{}: ", machine.name),
            };
            let name = format!("{}: {place}{binary}: {}", arch.name, test.name);
            let image = Image {
                arch,
                machine,
                elf: &elf,
            };
            let outcome = match &qemu {
                Ok(qemu) => run_one(qemu, &image, test)?,
                Err(missing) => Outcome::Skipped(missing.to_string()),
            };
            count(&mut tally, &name, outcome);
        }
    }
    Ok(tally)
}

/// One test binary and where it is booted.
struct Image<'a> {
    arch: &'static Architecture,
    machine: &'static Machine,
    elf: &'a Path,
}

/// What became of one test.
enum Outcome {
    Passed,
    /// Why, and what the machine wrote.
    Failed(String, String),
    Skipped(String),
}

fn count(tally: &mut Tally, name: &str, outcome: Outcome) {
    match outcome {
        Outcome::Passed => {
            println!("test {name} ... ok");
            tally.passed += 1;
        }
        Outcome::Failed(why, output) => {
            println!("test {name} ... FAILED: {why}\n{output}");
            tally.failed.push(format!("{name}: {why}"));
        }
        Outcome::Skipped(why) => {
            println!("test {name} ... ignored");
            tally.skipped.push(format!("{name}: {why}"));
        }
    }
}

/// The test target's name, without the hash that cargo appends.
fn binary_name(elf: &Path) -> String {
    let stem = elf.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-')
        .map_or(stem.as_ref(), |(name, _)| name)
        .to_owned()
}

fn run_one(qemu: &Qemu, image: &Image<'_>, test: &Test) -> Result<Outcome> {
    if test.ignored {
        return Ok(Outcome::Skipped("marked #[ignore]".into()));
    }
    if test.name.ends_with(NEEDS_TESTDEV) && !qemu.has(Feature::IommuTestdev) {
        return Ok(Outcome::Skipped("this QEMU has no iommu-testdev".into()));
    }
    let address = test.address.to_string();
    let words = ["run_addr", address.as_str()];
    let mut boot = match image.arch.boot(image.machine, qemu, image.elf, &words) {
        Ok(boot) => boot,
        Err(lacking) => return Ok(Outcome::Skipped(lacking)),
    };
    let limit = test.timeout.map_or(LIMIT, Duration::from_secs);
    let ended = process::capture(&mut boot, limit)?;
    Ok(
        match judge(test, ended.status, &ended.stdout, image.arch.ends) {
            Ok(()) => Outcome::Passed,
            Err(why) => {
                let output = format!("{}\n{}", ended.stdout.trim_end(), ended.stderr.trim_end());
                Outcome::Failed(why, output)
            }
        },
    )
}

/// `None` is a test that was stopped at its limit.
fn judge(test: &Test, status: Option<ExitStatus>, serial: &str, ends: Ends) -> Result<(), String> {
    let Some(status) = status else {
        return Err("hung until its time was over".into());
    };
    let Some(end) = ends.which(status, serial) else {
        return Err(format!("QEMU ended with {status}"));
    };
    match (end == ends.panicked, test.should_panic) {
        (false, false) | (true, true) => Ok(()),
        (false, true) => Err("ended well, but had to panic".into()),
        (true, false) => Err("panicked".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::arch::End;

    fn test(should_panic: bool) -> Test {
        let name = "t".to_owned();
        Test {
            name,
            address: 0,
            should_panic,
            ignored: false,
            timeout: None,
        }
    }

    const ENDS: Ends = Ends {
        well: End {
            status: 0,
            line: None,
        },
        panicked: End {
            status: 134,
            line: None,
        },
    };

    fn exit(code: i32) -> Option<ExitStatus> {
        Some(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn a_test_passes_by_ending_well_and_a_should_panic_by_panicking() {
        assert!(judge(&test(false), exit(0), "", ENDS).is_ok());
        assert!(judge(&test(false), exit(134), "", ENDS).is_err());
        assert!(judge(&test(true), exit(134), "", ENDS).is_ok());
        assert!(judge(&test(true), exit(0), "", ENDS).is_err());
    }

    #[test]
    fn a_hang_or_a_broken_qemu_never_passes() {
        for should_panic in [false, true] {
            assert!(judge(&test(should_panic), None, "", ENDS).is_err());
            assert!(judge(&test(should_panic), exit(1), "", ENDS).is_err());
        }
    }

    #[test]
    fn binaries_lose_their_hash() {
        assert_eq!(
            binary_name(Path::new("/t/deps/shootdown-0123456789abcdef")),
            "shootdown"
        );
    }
}
