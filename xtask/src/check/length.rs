//! Files stay short: one idea each.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use crate::workspace;

/// No source file is longer, tests apart.
const MOST_LINES: usize = 500;

/// Fails where a source file is too long; prints the median.
pub(crate) fn check() -> Result<()> {
    let mut lengths = Vec::new();
    for file in source_files(workspace::root())? {
        lengths.push((fs::read_to_string(&file)?.lines().count(), file));
    }
    lengths.sort();
    let median = lengths
        .get(lengths.len() / 2)
        .map_or(0, |(lines, _)| *lines);
    println!(
        "{} source files, {median} lines in the median",
        lengths.len()
    );
    let too_long: Vec<_> = lengths
        .iter()
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    for (lines, file) in &too_long {
        println!("{}: {lines} lines", file.display());
    }
    if !too_long.is_empty() {
        bail!(
            "{} files are longer than {MOST_LINES} lines",
            too_long.len()
        );
    }
    Ok(())
}

fn source_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !is_apart(&name) {
                files.extend(source_files(&path)?);
            }
        } else if path.extension() == Some(OsStr::new("rs")) && !is_tests(&name) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Folders of tests, of build products, and hidden ones.
fn is_apart(folder: &OsStr) -> bool {
    folder == "tests" || folder == "target" || folder.to_string_lossy().starts_with('.')
}

fn is_tests(file: &OsStr) -> bool {
    let name = file.to_string_lossy();
    name == "tests.rs" || name.ends_with("_tests.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_and_build_products_are_not_measured() {
        assert!(is_apart(OsStr::new("tests")) && is_apart(OsStr::new("target")));
        assert!(is_apart(OsStr::new(".git")) && !is_apart(OsStr::new("src")));
        assert!(is_tests(OsStr::new("tests.rs")) && is_tests(OsStr::new("queue_tests.rs")));
        assert!(!is_tests(OsStr::new("queue.rs")));
    }

    #[test]
    fn this_file_is_measured() {
        let files = source_files(workspace::root()).unwrap();
        assert!(files.iter().any(|file| file.ends_with("check/length.rs")));
    }
}
