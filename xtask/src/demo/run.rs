//! One boot of the demo kernel, and what its serial line says.

use std::time::Duration;

use anyhow::Result;
use tlb_shootdown_scenarios::{Cell, LINE_PREFIX};

use super::report::Report;
use crate::arch::{Architecture, Demo, Machine};
use crate::kernel;
use crate::process::{self, Captured};
use crate::setup::Qemu;

/// A run takes a few seconds: each transfer of the `edu` device is 100 ms of emulated time.
const LIMIT: Duration = Duration::from_secs(120);

/// How much of the serial output of a failed run is shown.
const TAIL_LINES: usize = 30;

/// Builds and boots the kernel and reads its cells; or says what this QEMU lacks for that machine.
pub(crate) fn boot(
    arch: &'static Architecture,
    machine: &'static Machine,
    demo: &'static Demo,
    qemu: &Qemu,
) -> Result<Result<Report, String>> {
    let elf = kernel::build_bin(arch, "demo")?;
    let mut command = match arch.boot(machine, qemu, &elf, &[]) {
        Ok(command) => command,
        Err(lacking) => return Ok(Err(lacking)),
    };
    let ended = process::capture(&mut command, LIMIT)?;
    let nothing_yet = Report {
        arch,
        machine,
        device: machine.device,
        board: machine.board,
        remark: machine.remark,
        ran_on: format!("qemu {}", qemu.version),
        yardstick: demo.yardstick,
        instead: false,
        cells: Vec::new(),
        troubles: Vec::new(),
        last_words: last_words(&ended),
    };
    Ok(Ok(read(&ended, nothing_yet)))
}

fn read(ended: &Captured, mut report: Report) -> Report {
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
        Some(status) => {
            let ends = report.arch.ends;
            if ends.which(status, &ended.stdout) != Some(ends.well) {
                report
                    .troubles
                    .push(format!("the kernel failed: QEMU ended with {status}"));
            }
        }
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
    use crate::demo::report::tests::right;

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

    fn blank(ended: &Captured) -> Report {
        Report {
            cells: Vec::new(),
            last_words: last_words(ended),
            ..right()
        }
    }

    #[test]
    fn reads_cells_between_other_lines() {
        let ended = ended(&format!("hello\r\n{CELL}\r\nbye\r\n"), Some(0));
        let report = read(&ended, blank(&ended));
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
            let ended = ended(output, code);
            let report = read(&ended, blank(&ended));
            assert_eq!(report.troubles.len(), 1, "{output}");
        }
    }

    #[test]
    fn the_last_words_hold_no_cells() {
        let ended = ended(&format!("{CELL}\npanicked at x\n"), Some(134));
        assert_eq!(last_words(&ended), "panicked at x");
    }
}
