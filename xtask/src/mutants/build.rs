//! The test programs under the cfg that lets mistakes be put back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{artifacts, workspace};

/// Test programs by name.
pub(super) struct Programs(HashMap<String, PathBuf>);

impl Programs {
    pub(super) fn get(&self, binary: &str) -> Result<&Path> {
        let program = self.0.get(binary).map(PathBuf::as_path);
        program.with_context(|| format!("there is no test program {binary}"))
    }
}

/// Builds these test programs of the library.
pub(super) fn programs(binaries: &[&'static str]) -> Result<Programs> {
    let mut cargo = workspace::cargo();
    cargo.args(["test", "--no-run", "--package", "tlb-shootdown"]);
    for binary in binaries {
        cargo.args(["--test", binary]);
    }
    cargo.env("RUSTFLAGS", "--cfg tlb_defects");
    // Other flags for every dependency: the usual folder would be rebuilt at each change from one to the other.
    let folder = workspace::target_dir().join("defects");
    cargo.env("CARGO_TARGET_DIR", folder);
    // Nobody looks into these programs with a debugger, and half of the time to build them is its tables.
    cargo.env("CARGO_PROFILE_DEV_DEBUG", "0");
    let built = artifacts::executables(&mut cargo, "test")?;
    let named = built.into_iter().filter_map(|program| {
        let name = program
            .file_stem()?
            .to_str()?
            .rsplit_once('-')?
            .0
            .to_owned();
        Some((name, program))
    });
    Ok(Programs(named.collect()))
}
