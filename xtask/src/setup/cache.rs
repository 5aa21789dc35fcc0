//! The folder that fetched tools are kept in, and how a part of it becomes complete.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::workspace;

/// What a finished folder says about itself; the file exists only where everything before it succeeded.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Stamp {
    /// Each package it was made from, as `name version`.
    pub packages: Vec<String>,
}

const STAMP: &str = "complete.json";

/// `$TLB_SHOOTDOWN_CACHE`, else the user's cache folder so that clones share it, else one in the build folder.
pub(crate) fn folder() -> Result<PathBuf> {
    if let Some(chosen) = std::env::var_os("TLB_SHOOTDOWN_CACHE") {
        let chosen = std::path::absolute(PathBuf::from(chosen))?;
        fs::create_dir_all(&chosen)
            .with_context(|| format!("cannot create {}", chosen.display()))?;
        return Ok(chosen);
    }
    let of_user = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| {
            std::env::home_dir()
                .filter(|home| home.is_absolute())
                .map(|home| home.join(".cache"))
        });
    if let Some(shared) = of_user.map(|cache| cache.join("tlb-shootdown"))
        && is_writable(&shared)
    {
        return Ok(shared);
    }
    let own = workspace::target_dir().join("on-target-tools");
    fs::create_dir_all(&own).with_context(|| format!("cannot create {}", own.display()))?;
    Ok(own)
}

fn is_writable(folder: &Path) -> bool {
    let trial = folder.join(format!(".writable-{}", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&trial, ""))
        .and_then(|()| fs::remove_file(&trial))
        .is_ok()
}

/// Runs `work` while no other process works in this folder, waiting for its turn.
pub(crate) fn locked<T>(folder: &Path, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let open = || fs::File::create(folder.join("lock"));
    if fd_lock::RwLock::new(open()?).try_write().is_err() {
        eprintln!(
            "waiting for another run that is setting up {}",
            folder.display()
        );
    }
    let mut lock = fd_lock::RwLock::new(open()?);
    let _held = lock.write()?;
    work()
}

/// The stamp of a finished folder.
pub(crate) fn stamp(folder: &Path) -> Option<Stamp> {
    serde_json::from_slice(&fs::read(folder.join(STAMP)).ok()?).ok()
}

/// Fills a new folder beside its place, stamps it, and puts it there in one step.
pub(crate) fn complete(
    place: &Path,
    fill: impl FnOnce(&Path) -> Result<Vec<String>>,
) -> Result<Stamp> {
    let partial = place.with_extension("partial");
    remove(&partial)?;
    fs::create_dir_all(&partial)?;
    let mut packages = fill(&partial)?;
    packages.sort();
    let stamp = Stamp { packages };
    fs::write(partial.join(STAMP), serde_json::to_vec_pretty(&stamp)?)?;
    // Runs beside this one may be using the old folder: it is away for a moment only.
    let old = place.with_extension("old");
    remove(&old)?;
    if place.exists() {
        fs::rename(place, &old)?;
    }
    fs::rename(&partial, place)?;
    remove(&old)?;
    Ok(stamp)
}

/// Removes a folder if it is there.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("xtask-cache-{name}-{}", std::process::id()));
        remove(&folder).unwrap();
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_failed_fill_leaves_no_stamp_and_can_be_repeated() {
        let folder = scratch("repeat");
        let place = folder.join("part");
        let failed = complete(&place, |partial| {
            fs::write(partial.join("half"), "")?;
            anyhow::bail!("cut off")
        });
        assert!(failed.is_err());
        assert!(stamp(&place).is_none());

        complete(&place, |_| Ok(vec!["b 2".into(), "a 1".into()])).unwrap();
        assert_eq!(stamp(&place).unwrap().packages, ["a 1", "b 2"]);
        assert!(!place.join("half").exists());
        remove(&folder).unwrap();
    }
}
