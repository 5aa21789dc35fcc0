//! cargo-mutants, built from crates.io into the cache folder.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::cache;
use super::missing::Missing;
use crate::{process, workspace};

const PACKAGE: &str = "cargo-mutants";

/// Another version may generate other mutants, and the names of those that mean the same are this one's.
const VERSION: &str = "27.1.0";

/// The program, built at the first use.
pub(crate) fn find_or_build() -> Result<PathBuf, Missing> {
    found_or_built().map_err(|cause| Missing {
        what: PACKAGE.into(),
        install: "crates.io is needed once, and some minutes to build it".into(),
        cause,
    })
}

/// Makes the next use build it anew.
pub(super) fn forget(folder: &Path) -> Result<()> {
    cache::remove(&place(folder))
}

fn found_or_built() -> Result<PathBuf> {
    let folder = cache::folder()?;
    let place = place(&folder);
    if cache::stamp(&place).is_none() {
        cache::locked(&folder, || build(&place))?;
    }
    Ok(place.join("bin").join(PACKAGE))
}

fn place(folder: &Path) -> PathBuf {
    folder.join(format!("{PACKAGE}-{VERSION}"))
}

fn build(place: &Path) -> Result<()> {
    // Another run may have finished it while this one waited for its turn.
    if cache::stamp(place).is_some() {
        return Ok(());
    }
    cache::complete(place, |root| {
        let mut cargo = workspace::cargo();
        cargo.args(["install", PACKAGE, "--version", VERSION, "--locked"]);
        cargo.arg("--no-track").arg("--root").arg(root);
        process::run(&mut cargo)?;
        Ok(vec![format!("{PACKAGE} {VERSION}")])
    })?;
    Ok(())
}
