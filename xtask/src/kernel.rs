//! Building what runs on the emulated machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::rust_src::{self, AARCH64};
use crate::{artifacts, workspace};

/// The package of the AArch64 kernel.
pub(crate) const PACKAGE: &str = "on-target-aarch64";

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
    artifacts::executables(&mut cargo, "bin")?
        .pop()
        .with_context(|| format!("cargo built no binary `{name}`"))
}

/// Builds the integration tests of the kernel package; the paths of their ELF files.
pub(crate) fn build_tests() -> Result<Vec<PathBuf>> {
    let mut cargo = cargo(&["test", "--no-run"])?;
    // The library's unit tests run on the host: the standard test harness does not exist for bare metal.
    cargo.args(["--test", "*"]);
    artifacts::executables(&mut cargo, "test")
}
