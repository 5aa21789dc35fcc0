//! The tests that run on the emulated machine, one boot each.

use std::fs;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::setup::{Qemu, qemu};
use crate::test::embedded_test::{self, Test};
use crate::test::tally::Tally;
use crate::{kernel, machine, process};

/// Where a test names no limit. A boot takes a few tenths of a second.
const LIMIT: Duration = Duration::from_secs(30);

/// How QEMU ends when the target aborts through semihosting, as a panic does.
const ABORTED: i32 = 134;

/// How the names of tests end that need the device `iommu-testdev`, which QEMU has from version 11 on.
const NEEDS_TESTDEV: &str = "_of_a_testdev";

/// Builds and runs every on-target test of AArch64.
pub(crate) fn run() -> Tally {
    try_run().unwrap_or_else(|error| Tally::failure(format!("on-target: {error:#}")))
}

fn try_run() -> Result<Tally> {
    let qemu = qemu::find_or_fetch();
    let mut tally = Tally::default();
    for elf in kernel::build_tests()? {
        let tests = embedded_test::list(&fs::read(&elf)?)
            .with_context(|| format!("in {}", elf.display()))?;
        let binary = binary_name(&elf);
        for test in &tests {
            let name = format!("aarch64: {binary}: {}", test.name);
            match &qemu {
                Ok(qemu) => run_one(qemu, &elf, test, &name, &mut tally)?,
                Err(missing) => tally.skipped.push(format!("{name}: {missing}")),
            }
        }
    }
    Ok(tally)
}

/// The test target's name, without the hash that cargo appends.
fn binary_name(elf: &Path) -> String {
    let stem = elf.file_stem().unwrap_or_default().to_string_lossy();
    stem.rsplit_once('-')
        .map_or(stem.as_ref(), |(name, _)| name)
        .to_owned()
}

fn run_one(qemu: &Qemu, elf: &Path, test: &Test, name: &str, tally: &mut Tally) -> Result<()> {
    if test.ignored {
        println!("test {name} ... ignored");
        tally.skipped.push(format!("{name}: marked #[ignore]"));
        return Ok(());
    }
    if test.name.ends_with(NEEDS_TESTDEV) && !qemu.has_iommu_testdev {
        println!("test {name} ... ignored");
        tally
            .skipped
            .push(format!("{name}: this QEMU has no iommu-testdev"));
        return Ok(());
    }
    let address = test.address.to_string();
    let mut boot = machine::boot(qemu, elf, &["run_addr", &address]);
    let limit = test.timeout.map_or(LIMIT, Duration::from_secs);
    let ended = process::capture(&mut boot, limit)?;
    match judge(test, ended.status) {
        Ok(()) => {
            println!("test {name} ... ok");
            tally.passed += 1;
        }
        Err(why) => {
            println!("test {name} ... FAILED: {why}");
            println!("{}\n{}", ended.stdout.trim_end(), ended.stderr.trim_end());
            tally.failed.push(format!("{name}: {why}"));
        }
    }
    Ok(())
}

/// `None` is a test that was stopped at its limit.
fn judge(test: &Test, status: Option<ExitStatus>) -> Result<(), String> {
    let Some(status) = status else {
        return Err("hung until its time was over".into());
    };
    match (status.code(), test.should_panic) {
        (Some(0), false) | (Some(ABORTED), true) => Ok(()),
        (Some(0), true) => Err("ended well, but had to panic".into()),
        (Some(ABORTED), false) => Err("panicked".into()),
        _ => Err(format!("QEMU ended with {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

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

    fn exit(code: i32) -> Option<ExitStatus> {
        Some(ExitStatus::from_raw(code << 8))
    }

    #[test]
    fn a_test_passes_by_ending_well_and_a_should_panic_by_panicking() {
        assert!(judge(&test(false), exit(0)).is_ok());
        assert!(judge(&test(false), exit(134)).is_err());
        assert!(judge(&test(true), exit(134)).is_ok());
        assert!(judge(&test(true), exit(0)).is_err());
    }

    #[test]
    fn a_hang_or_a_broken_qemu_never_passes() {
        for should_panic in [false, true] {
            assert!(judge(&test(should_panic), None).is_err());
            assert!(judge(&test(should_panic), exit(1)).is_err());
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
