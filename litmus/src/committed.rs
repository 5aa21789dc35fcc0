//! The text of all tests as it is committed, so that it can be read without herd7 and cannot drift from what the library emits.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::Property;

/// The file with the expected verdicts, beside the folders of the scenarios.
const VERDICTS: &str = "verdicts.txt";

/// The folder of the committed files.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("generated")
}

/// Path and text of every file there has to be.
fn files(properties: &[Property]) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let mut verdicts = String::new();
    for property in properties {
        let _ = writeln!(verdicts, "# {}", property.claim);
        for test in &property.tests {
            let _ = writeln!(verdicts, "{:12} {}", test.expected, test.name());
            files.insert(test.path(), test.text.clone());
        }
    }
    files.insert(VERDICTS.to_owned(), verdicts);
    files
}

/// Every difference between the folder and what the library emits now, one line each.
///
/// # Errors
/// Where the folder cannot be read.
pub fn differences(folder: &Path, properties: &[Property]) -> Result<Vec<String>> {
    let mut there = read(folder)?;
    let mut differences = Vec::new();
    for (path, text) in files(properties) {
        match there.remove(&path) {
            None => differences.push(format!("{path}: missing")),
            Some(committed) if committed != text => {
                differences.push(format!("{path}: {}", first_difference(&committed, &text)));
            }
            Some(_) => {}
        }
    }
    differences.extend(
        there
            .into_keys()
            .map(|path| format!("{path}: not generated")),
    );
    Ok(differences)
}

fn first_difference(committed: &str, emitted: &str) -> String {
    let (mut committed, mut emitted) = (committed.lines(), emitted.lines());
    loop {
        match (committed.next(), emitted.next()) {
            (None, None) => return "the ends of lines differ".into(),
            (a, b) if a == b => {}
            (a, b) => {
                let shown = |line: Option<&str>| line.unwrap_or("nothing").trim().to_owned();
                return format!("committed `{}`, emitted `{}`", shown(a), shown(b));
            }
        }
    }
}

/// All files of the folder, by their path within it.
fn read(folder: &Path) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        let entries = fs::read_dir(&next).with_context(|| format!("{}", next.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                files.insert(name, fs::read_to_string(&path)?);
            }
        }
    }
    Ok(files)
}

/// Writes everything to the folder, which holds nothing else afterwards.
///
/// # Errors
/// Where it cannot be written.
pub fn write(folder: &Path, properties: &[Property]) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("{}", folder.display()))?;
    }
    for (path, text) in files(properties) {
        let path = folder.join(path);
        let parent = path.parent().context("a file lies in a folder")?;
        fs::create_dir_all(parent)?;
        fs::write(&path, text).with_context(|| format!("{}", path.display()))?;
    }
    Ok(())
}
