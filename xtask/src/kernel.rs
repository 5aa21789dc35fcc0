//! Building what runs on the emulated machines.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::arch::Architecture;
use crate::setup::rust_src;
use crate::{artifacts, workspace};

/// A cargo command for an architecture's kernels. They are built optimised: the emulated TLB is small, and what happens
/// between touching a page and checking it must be short.
pub(crate) fn cargo(arch: &Architecture, subcommand: &[&str]) -> Result<Command> {
    let mut cargo = workspace::cargo();
    cargo.args(subcommand);
    rust_src::find_or_fetch(arch.target)?.apply(&mut cargo, arch.target);
    cargo.args(["--release", "--package", arch.package]);
    Ok(cargo)
}

/// Builds one binary of the kernel package; the path of its ELF file.
pub(crate) fn build_bin(arch: &Architecture, name: &str) -> Result<PathBuf> {
    let mut cargo = cargo(arch, &["build"])?;
    cargo.args(["--bin", name]);
    artifacts::executables(&mut cargo, "bin")?
        .pop()
        .with_context(|| format!("cargo built no binary `{name}`"))
}

/// Builds the integration tests of the kernel package; the paths of their ELF files.
pub(crate) fn build_tests(arch: &Architecture) -> Result<Vec<PathBuf>> {
    let mut cargo = cargo(arch, &["test", "--no-run"])?;
    // The library's unit tests run on the host: the standard test harness does not exist for bare metal.
    cargo.args(["--test", "*"]);
    artifacts::executables(&mut cargo, "test")
}
