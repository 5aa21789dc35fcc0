//! One boot of the demo kernel, and what its serial line says.

use std::time::Duration;

use anyhow::Result;
use tlb_shootdown_scenarios::{Cell, LINE_PREFIX, Yardstick};

use super::report::Report;
use crate::process::{self, Captured};
use crate::setup::Qemu;
use crate::{kernel, machine};

/// A run takes a few seconds: each transfer of the `edu` device is 100 ms of emulated time.
const LIMIT: Duration = Duration::from_secs(120);

/// How much of the serial output of a failed run is shown.
const TAIL_LINES: usize = 30;

/// Builds and boots the kernel and reads its cells.
pub(crate) fn boot(qemu: &Qemu) -> Result<Report> {
    let elf = kernel::build_bin("demo")?;
    let ended = process::capture(&mut machine::boot(qemu, &elf, &[]), LIMIT)?;
    Ok(read(&ended, format!("qemu {}", qemu.version)))
}

fn read(ended: &Captured, ran_on: String) -> Report {
    let mut report = Report {
        machine: machine::NAME,
        ran_on,
        yardstick: &Yardstick::AARCH64_SMMUV3_QEMU,
        cells: Vec::new(),
        troubles: Vec::new(),
        last_words: last_words(ended),
    };
    for line in ended.stdout.lines() {
        match Cell::from_line(line) {
            Some(Ok(cell)) => report.cells.push(cell),
            Some(Err(error)) => report
                .troubles
                .push(format!("unreadable cell ({error}): {line}")),
            None => {}
        }
    }
    match ended.status {
        None => report
            .troubles
            .push(format!("the kernel hung for {} s", LIMIT.as_secs())),
        Some(status) if !status.success() => {
            report
                .troubles
                .push(format!("the kernel failed: QEMU ended with {status}"));
        }
        Some(_) => {}
    }
    report
}

fn last_words(ended: &Captured) -> String {
    let lines = ended.stdout.lines().chain(ended.stderr.lines());
    let lines: Vec<_> = lines
        .filter(|line| !line.starts_with(LINE_PREFIX))
        .collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    use super::*;

    const CELL: &str = "cell {\"case\":\"unmap\",\"observer\":\"device\",\"without\":\"stale\",\
        \"refusal\":null,\"with\":\"fresh\",\"cost\":{\"store_barriers\":1,\"invalidations\":1,\
        \"completion_barriers\":1,\"ipis\":0,\"commands\":1,\"syncs\":1,\"doorbells\":1,\
        \"queue_barriers\":1,\"escalations\":0},\"tries\":2}";

    fn ended(stdout: &str, code: Option<i32>) -> Captured {
        Captured {
            status: code.map(|code| ExitStatus::from_raw(code << 8)),
            stdout: stdout.into(),
            stderr: String::new(),
        }
    }

    #[test]
    fn reads_cells_between_other_lines() {
        let report = read(
            &ended(&format!("hello\r\n{CELL}\r\nbye\r\n"), Some(0)),
            "q".into(),
        );
        assert_eq!(report.cells.len(), 1);
        assert_eq!(report.cells[0].tries, 2);
        assert!(report.troubles.is_empty());
    }

    #[test]
    fn a_panic_a_hang_and_a_torn_line_are_troubles() {
        for (output, code) in [
            ("panicked at x", Some(134)),
            ("stuck", None),
            ("cell {\"ca", Some(0)),
        ] {
            let report = read(&ended(output, code), "q".into());
            assert_eq!(report.troubles.len(), 1, "{output}");
        }
    }

    #[test]
    fn the_last_words_hold_no_cells() {
        let report = read(
            &ended(&format!("{CELL}\npanicked at x\n"), Some(134)),
            "q".into(),
        );
        assert_eq!(report.last_words, "panicked at x");
    }
}
