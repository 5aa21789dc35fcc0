//! A private apt folder: Debian packages fetched and unpacked beside the system, never installed.
//!
//! apt checks the signatures as always; it only gets its lists, state and archives in a folder of ours, an empty
//! status file (so that every dependency counts as missing), and two suites relative to the machine's own mirror.

mod sources;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process;
use sources::Source;

/// Where packages come from.
#[derive(Clone, Copy)]
pub(crate) struct Suites {
    /// All of them, as `Suites:` takes them.
    names: &'static str,
    /// The one that is preferred.
    preferred: &'static str,
}

/// A release, and the suite with the newer QEMU and Rust sources.
pub(crate) const RELEASE: Suites = Suites {
    names: "trixie trixie-backports",
    preferred: "trixie-backports",
};
/// What no release has yet. Its lists need a folder of their own.
pub(crate) const UNSTABLE: Suites = Suites {
    names: "sid",
    preferred: "sid",
};

/// Long enough for a slow mirror, short enough to end a job that would never finish.
const FETCH_LIMIT: Duration = Duration::from_secs(15 * 60);

/// The private folder, its lists up to date.
pub(crate) struct PrivateApt {
    folder: PathBuf,
    suites: Suites,
}

impl PrivateApt {
    /// Prepares the folder and fetches the lists of packages.
    pub(crate) fn prepare(folder: &Path, suites: Suites) -> Result<Self> {
        let mirror = machine_mirror()?;
        for part in [
            "state/lists/partial",
            "cache/archives/partial",
            "etc/sources",
            "etc/empty",
        ] {
            fs::create_dir_all(folder.join(part))?;
        }
        fs::write(folder.join("state/status"), "")?;
        fs::write(
            folder.join("etc/sources/debian.sources"),
            sources_file(&mirror, suites),
        )?;
        fs::write(folder.join("etc/apt.conf"), configuration(folder)?)?;
        let apt = Self {
            folder: folder.to_owned(),
            suites,
        };
        apt.get(&["update"], folder)?;
        Ok(apt)
    }

    /// Fetches packages with everything they depend on; the archives, in no order.
    pub(crate) fn fetch_with_dependencies(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let archives = self.folder.join("cache/archives");
        // Whole archives of an interrupted run are taken up again by apt; those of another package must not mix in.
        let install = [
            "-y",
            "-t",
            self.suites.preferred,
            "--download-only",
            "install",
        ];
        self.get(&[&install, packages].concat(), &self.folder)?;
        debs_in(&archives)
    }

    /// Fetches one package alone, by `name=version-pattern`, into `folder`.
    pub(crate) fn fetch_alone(&self, package: &str, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        self.get(&["download", package], folder)?;
        debs_in(folder)?
            .pop()
            .with_context(|| format!("apt-get download {package} left no archive"))
    }

    fn get(&self, words: &[&str], folder: &Path) -> Result<()> {
        let mut command = Command::new("apt-get");
        command
            .arg("-q")
            .arg("-c")
            .arg(self.folder.join("etc/apt.conf"))
            .args(words);
        command
            .current_dir(folder)
            .env("LC_ALL", "C")
            .env("DEBIAN_FRONTEND", "noninteractive");
        let ended = process::capture(&mut command, FETCH_LIMIT)?;
        // `apt-get update` ends with 0 even where a list could not be fetched.
        if !ended.success() || ended.stderr.contains("Failed to fetch") {
            bail!(
                "`apt-get {}` failed: {}",
                words.join(" "),
                first_trouble(&ended.stderr)
            );
        }
        Ok(())
    }
}

/// The line that names what went wrong; what follows it only says that something did.
fn first_trouble(output: &str) -> &str {
    let mut lines = output.lines();
    let named = lines.find(|line| line.starts_with("E: ") || line.contains("Failed to fetch"));
    named.unwrap_or(output).trim()
}

/// The name and version that an archive carries, as `name version`.
pub(crate) fn name_and_version(archive: &Path) -> Result<String> {
    let mut command = Command::new("dpkg-deb");
    command
        .args(["--show", "--showformat", "${Package} ${Version}"])
        .arg(archive);
    let shown = process::capture(&mut command, Duration::from_secs(60))?;
    if !shown.success() {
        bail!(
            "{} is no package: {}",
            archive.display(),
            shown.stderr.trim()
        );
    }
    Ok(shown.stdout.trim().to_owned())
}

/// Unpacks these archives, and says what they were. `unpacked` is called after each.
pub(crate) fn unpack_all(
    archives: &[PathBuf],
    into: &Path,
    mut unpacked: impl FnMut(),
) -> Result<Vec<String>> {
    let mut packages = Vec::new();
    for archive in archives {
        unpack(archive, into)?;
        packages.push(name_and_version(archive)?);
        unpacked();
    }
    Ok(packages)
}

/// Unpacks an archive without running anything of it.
pub(crate) fn unpack(archive: &Path, into: &Path) -> Result<()> {
    process::run(Command::new("dpkg").arg("-x").arg(archive).arg(into))
}

/// Debian's name of this machine's processor family.
pub(crate) fn architecture() -> Result<String> {
    let mut command = Command::new("dpkg");
    let shown = process::capture(command.arg("--print-architecture"), Duration::from_secs(60))?;
    Ok(shown.stdout.trim().to_owned())
}

fn debs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut debs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension() == Some(OsStr::new("deb")) {
            debs.push(path);
        }
    }
    Ok(debs)
}

/// The Debian mirror that this machine's own configuration names.
fn machine_mirror() -> Result<Source> {
    let mut found = Vec::new();
    if let Ok(text) = fs::read_to_string("/etc/apt/sources.list") {
        found.extend(sources::parse_list(&text));
    }
    let mut files: Vec<_> = fs::read_dir("/etc/apt/sources.list.d")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.sort();
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        match file.extension().and_then(OsStr::to_str) {
            Some("list") => found.extend(sources::parse_list(&text)),
            Some("sources") => found.extend(sources::parse_deb822(&text)),
            _ => {}
        }
    }
    sources::debian_mirror(&found)
        .cloned()
        .context("this machine's apt sources name no Debian mirror")
}

fn sources_file(mirror: &Source, suites: Suites) -> String {
    let keyring = mirror.signed_by.clone().or_else(|| {
        let usual = [
            "/usr/share/keyrings/debian-archive-keyring.gpg",
            "/usr/share/keyrings/debian-archive-keyring.pgp",
        ];
        usual
            .into_iter()
            .find(|path| Path::new(path).exists())
            .map(Into::into)
    });
    let signed_by = keyring
        .map(|keyring| format!("Signed-By: {keyring}\n"))
        .unwrap_or_default();
    format!(
        "Types: deb\nURIs: {}\nSuites: {}\nComponents: main\n{signed_by}",
        mirror.uri, suites.names
    )
}

/// Settings read after the system's own: proxies and credentials stay, places and hooks are replaced.
fn configuration(folder: &Path) -> Result<String> {
    let folder = folder
        .to_str()
        .context("the cache folder's path is not UTF-8")?;
    if folder.contains('"') {
        bail!(
            "the cache folder's path holds a quotation mark, which apt's configuration cannot carry"
        );
    }
    Ok(format!(
        "#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n#clear APT::Update::Pre-Invoke;\n\
         #clear DPkg::Post-Invoke;\n#clear DPkg::Pre-Invoke;\n#clear Acquire::IndexTargets::deb::DEP-11;\n\
         Dir::State \"{folder}/state\";\nDir::State::status \"{folder}/state/status\";\nDir::Cache \"{folder}/cache\";\n\
         Dir::Etc::sourcelist \"/dev/null\";\nDir::Etc::sourceparts \"{folder}/etc/sources\";\n\
         Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"{folder}/etc/empty\";\n\
         APT::Sandbox::User \"\";\nDebug::NoLocking \"1\";\nAPT::Install-Recommends \"0\";\n\
         Acquire::Languages \"none\";\nAcquire::Retries \"3\";\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_trouble_is_the_one_that_is_shown() {
        let output = "W: Failed to fetch http://mirror.test/InRelease  Temporary failure\n\
                      W: Some index files failed to download.\n";
        assert!(first_trouble(output).ends_with("Temporary failure"));
        assert_eq!(
            first_trouble("E: Unable to locate package x\n"),
            "E: Unable to locate package x"
        );
        assert_eq!(first_trouble("killed\n"), "killed");
    }

    #[test]
    fn the_mirrors_key_is_kept_word_by_word() {
        let mirror = Source {
            uri: "http://mirror.test/debian".into(),
            suite: "bookworm".into(),
            signed_by: Some("/keys/one.gpg".into()),
        };
        assert_eq!(
            sources_file(&mirror, RELEASE),
            "Types: deb\nURIs: http://mirror.test/debian\nSuites: trixie trixie-backports\n\
             Components: main\nSigned-By: /keys/one.gpg\n"
        );
    }
}
