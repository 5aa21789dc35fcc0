//! Figures of the engine's own time and instructions, to compare one change with the next.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::{artifacts, process, workspace};

/// The functions of `benches/support` whose instructions are counted.
const COUNTED: [&str; 2] = ["flush_page", "flush_512_pages"];

/// How often `benches/count.rs` calls each of them.
const CALLS: u64 = 100;

/// Callgrind is some fifty times slower than the processor.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the benches, and counts instructions where valgrind is installed.
pub(crate) fn run() -> Result<()> {
    let bench = || {
        let mut cargo = workspace::cargo();
        cargo.args(["bench", "--package", "tlb-shootdown"]);
        cargo
    };
    process::run(bench().args(["--bench", "flush"]))?;
    let built = artifacts::executables(bench().args(["--no-run", "--bench", "count"]), "bench")?;
    let program = built.first().context("cargo built no bench `count`")?;
    if process::capture(Command::new("valgrind").arg("--version"), LIMIT).is_err() {
        println!("instructions are not counted: install valgrind");
        return Ok(());
    }
    for function in COUNTED {
        let instructions = count(program, function)?;
        println!("{function}: {} instructions a call", instructions / CALLS);
    }
    Ok(())
}

/// Instructions executed inside a function, over all its calls.
fn count(program: &Path, function: &str) -> Result<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    // The engine has methods of the same names: a shorter pattern would switch counting off in them.
    valgrind.arg(format!("--toggle-collect=*support::{function}"));
    let ended = process::capture(valgrind.arg(program), LIMIT)?;
    if !ended.success() {
        bail!(
            "`{}` failed: {}",
            process::shown(&valgrind),
            ended.stderr.trim()
        );
    }
    let counted = collected(&ended.stderr).filter(|instructions| *instructions > 0);
    counted.with_context(|| format!("callgrind saw no call of {function}"))
}

/// Reads callgrind's line `==1234== Collected : 56789`.
fn collected(output: &str) -> Option<u64> {
    let line = output
        .lines()
        .find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_callgrind_collected() {
        let output = "==7== Events    : Ir\n==7== Collected : 123456\n==7== \n";
        assert_eq!(collected(output), Some(123_456));
        assert_eq!(collected("==7== Events : Ir\n"), None);
    }
}
