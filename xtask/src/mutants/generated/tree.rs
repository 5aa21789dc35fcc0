//! A copy of the checkout to make mistakes in, kept from run to run so that little is built anew.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// What is no source.
const LEFT_OUT: [&str; 2] = [".git", "target"];

/// Makes `to` the same as `from`. A file that is the same already is not touched: cargo goes by its time.
pub(super) fn mirror(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
    let mut names = HashSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if is_left_out(&name) {
            continue;
        }
        let (from, to) = (entry.path(), to.join(&name));
        if entry.file_type()?.is_dir() {
            mirror(&from, &to)?;
        } else {
            copy(&from, &to)?;
        }
        names.insert(name);
    }
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        let path = entry.path();
        match entry.file_type()?.is_dir() {
            _ if names.contains(&entry.file_name()) => {}
            true => fs::remove_dir_all(path)?,
            false => fs::remove_file(path)?,
        }
    }
    Ok(())
}

fn is_left_out(name: &OsStr) -> bool {
    LEFT_OUT.iter().any(|left_out| name == *left_out)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let wanted = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == wanted) {
        return Ok(());
    }
    fs::write(to, wanted).with_context(|| format!("cannot write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_follows_changes_and_touches_nothing_else() {
        let folder = std::env::temp_dir().join(format!("xtask-mirror-{}", std::process::id()));
        let (from, to) = (folder.join("from"), folder.join("to"));
        fs::create_dir_all(from.join("src")).unwrap();
        fs::create_dir_all(from.join("target")).unwrap();
        fs::write(from.join("src/a"), "1").unwrap();
        fs::write(from.join("src/b"), "1").unwrap();
        mirror(&from, &to).unwrap();
        assert!(!to.join("target").exists());

        let time = |name| to.join(name).metadata().unwrap().modified().unwrap();
        let before = time("src/a");
        // What a run that was broken off has left behind.
        fs::write(to.join("src/b"), "mutant").unwrap();
        fs::write(to.join("src/c"), "").unwrap();
        mirror(&from, &to).unwrap();
        assert_eq!(time("src/a"), before);
        assert_eq!(fs::read_to_string(to.join("src/b")).unwrap(), "1");
        assert!(!to.join("src/c").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
