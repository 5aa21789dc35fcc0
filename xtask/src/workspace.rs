//! Where the checkout, its build folders and the toolchain are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;

/// The root of the checkout: the folder above this crate's own.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this crate lies in a folder of the workspace")
}

/// Cargo's folder for host builds, as the caller chose it.
pub(crate) fn target_dir() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => root().join(dir),
        None => root().join("target"),
    }
}

/// The build folder of everything that is compiled for bare metal.
///
/// It is apart from the host's because those builds run with `RUSTC_BOOTSTRAP=1`, which some build scripts track:
/// sharing one folder would rebuild half the host's dependencies at every change from one to the other.
pub(crate) fn on_target_dir() -> PathBuf {
    target_dir().join("on-target")
}

/// A cargo of the toolchain that runs this program, started at the root of the checkout.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    forget_package(&mut cargo);
    cargo
}

/// Takes away what `cargo run` has set for this program: a nested cargo would hand it to build scripts of other packages.
pub(crate) fn forget_package(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
        .env_remove("CARGO_MANIFEST_DIR")
        .env_remove("CARGO_MANIFEST_PATH");
}

/// One line of `rustc --print`, or another short question to the compiler.
pub(crate) fn ask_rustc(args: &[&str]) -> Result<String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(args).current_dir(root());
    let answer = process::capture(&mut rustc, Duration::from_secs(60))?;
    if !answer.success() {
        bail!("rustc {} failed: {}", args.join(" "), answer.stderr.trim());
    }
    Ok(answer.stdout.trim().to_owned())
}

/// The release of the compiler in use, such as `1.95.0`.
pub(crate) fn rustc_release() -> Result<String> {
    let version = ask_rustc(&["-vV"])?;
    let release = version
        .lines()
        .find_map(|line| line.strip_prefix("release: "));
    Ok(release.context("rustc -vV names no release")?.to_owned())
}
