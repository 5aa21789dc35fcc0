//! Building what runs on the emulated machine.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::setup::rust_src::{self, AARCH64};
use crate::{process, workspace};

/// The package of the AArch64 kernel.
pub(crate) const PACKAGE: &str = "on-target-aarch64";

/// A cold build makes `core`, `alloc` and the kernel.
const BUILD_LIMIT: Duration = Duration::from_secs(15 * 60);

/// A cargo command for the AArch64 kernels. They are built optimised: the emulated TLB is small, and what happens
/// between touching a page and checking it must be short.
pub(crate) fn cargo(subcommand: &[&str]) -> Result<Command> {
    let mut cargo = workspace::cargo();
    cargo.args(subcommand);
    rust_src::find_or_fetch(AARCH64)?.apply(&mut cargo, AARCH64);
    cargo.args(["--release", "--package", PACKAGE]);
    Ok(cargo)
}

/// Builds one binary of the kernel package; the path of its ELF file.
pub(crate) fn build_bin(name: &str) -> Result<PathBuf> {
    let mut cargo = cargo(&["build"])?;
    cargo.args(["--bin", name]);
    executables(&mut cargo, "bin")?
        .pop()
        .with_context(|| format!("cargo built no binary `{name}`"))
}

/// Builds the integration tests of the kernel package; the paths of their ELF files.
pub(crate) fn build_tests() -> Result<Vec<PathBuf>> {
    let mut cargo = cargo(&["test", "--no-run"])?;
    // The library's unit tests run on the host: the standard test harness does not exist for bare metal.
    cargo.args(["--test", "*"]);
    executables(&mut cargo, "test")
}

#[derive(Deserialize)]
struct Message {
    reason: String,
    target: Option<Target>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
}

fn executables(cargo: &mut Command, kind: &str) -> Result<Vec<PathBuf>> {
    cargo.args(["--quiet", "--message-format", "json-render-diagnostics"]);
    let built = process::capture(cargo, BUILD_LIMIT)?;
    if !built.success() {
        bail!(
            "`{}` failed:\n{}",
            process::shown(cargo),
            built.stderr.trim_end()
        );
    }
    eprint!("{}", built.stderr);
    Ok(parse_executables(&built.stdout, kind))
}

/// Cargo builds a package's binaries along with its integration tests: only those of one kind are wanted.
fn parse_executables(lines: &str, kind: &str) -> Vec<PathBuf> {
    let messages = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages
        .filter(|message| message.reason == "compiler-artifact")
        .filter(|message| {
            let target = message.target.as_ref();
            target.is_some_and(|target| target.kind.iter().any(|one| one == kind))
        })
        .filter_map(|message| message.executable)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_executables_among_cargos_messages() {
        let artifact = |kind: &str, path: &str| {
            format!(
                "{{\"reason\":\"compiler-artifact\",\"target\":{{\"kind\":[\"{kind}\"]}},\
                 \"executable\":{path}}}\n"
            )
        };
        let lines = [
            artifact("lib", "null"),
            "{\"reason\":\"build-script-executed\"}\n".into(),
            artifact("bin", "\"/out/demo\""),
            artifact("test", "\"/out/deps/cells-1\""),
            "{\"reason\":\"build-finished\",\"success\":true}\n".into(),
        ];
        let lines = lines.concat();
        assert_eq!(
            parse_executables(&lines, "bin"),
            [PathBuf::from("/out/demo")]
        );
        assert_eq!(
            parse_executables(&lines, "test"),
            [PathBuf::from("/out/deps/cells-1")]
        );
    }
}
