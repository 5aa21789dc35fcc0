//! herd7: Debian's, which only sid has, run from an unpacked tree through sid's own loader.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::missing::Missing;
use super::{apt, cache, progress};
use crate::process;

/// Debian's package.
const PACKAGE: &str = "herdtools7";

/// The file of Arm's model that says which barriers count.
const FENCES: &str = "aarch64fences.cat";

/// A herd7 that has answered.
pub(crate) struct Herd {
    root: PathBuf,
    libraries: PathBuf,
    loader: PathBuf,
    /// The folder with [`FENCES`] as changed for questions about one CPU.
    local: PathBuf,
    /// The version it reports, such as `7.58`.
    pub(crate) version: String,
}

impl Herd {
    fn tree(place: &Path) -> Result<Self> {
        let (loader, triplet) = match apt::architecture()?.as_str() {
            "amd64" => ("usr/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
            "arm64" => ("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
            other => bail!("unpacked herd7 packages are not supported on {other}"),
        };
        let root = place.join("root");
        let mut herd = Self {
            loader: root.join(loader),
            libraries: root.join("usr/lib").join(triplet),
            root,
            local: place.join("local"),
            version: String::new(),
        };
        let limit = Duration::from_secs(30);
        let answer = process::capture(herd.start().arg("-version"), limit)?;
        ensure!(answer.success(), "herd7 failed: {}", answer.stderr.trim());
        let version = answer.stdout.split(',').next().unwrap_or_default();
        herd.version = version.trim().to_owned();
        Ok(herd)
    }

    fn start(&self) -> Command {
        let mut command = Command::new(&self.loader);
        command.arg("--library-path").arg(&self.libraries);
        command.arg(self.root.join("usr/bin/herd7"));
        command
    }

    /// A command that asks for Arm's virtual-memory model, without a test yet. Files of `changed` stand before the model's own.
    pub(crate) fn command(&self, changed: Option<&Path>) -> Command {
        let mut command = self.start();
        command.arg("-set-libdir").arg(self.model());
        if let Some(changed) = changed {
            command.arg("-I").arg(changed);
        }
        command.args(["-variant", "vmsa,fatal"]);
        command
    }

    /// The folder with the models as they were fetched.
    pub(crate) fn model(&self) -> PathBuf {
        model(&self.root)
    }

    /// The folder of what is changed where barriers of one CPU are to count.
    pub(crate) fn local(&self) -> &Path {
        &self.local
    }
}

fn model(root: &Path) -> PathBuf {
    root.join("usr/share/herdtools7/herd")
}

/// The unpacked tree, fetched at the first use.
pub(crate) fn find_or_fetch() -> Result<Herd, Missing> {
    found_or_fetched().map_err(|cause| Missing {
        what: "herd7".into(),
        install: "Debian's herdtools7 from sid is needed, on a machine with dpkg".into(),
        cause,
    })
}

fn found_or_fetched() -> Result<Herd> {
    let folder = cache::folder()?;
    let place = place(&folder)?;
    if cache::stamp(&place).is_none() {
        cache::locked(&folder, || fetch(&folder, &place))?;
    }
    Herd::tree(&place)
}

fn fetch(folder: &Path, place: &Path) -> Result<()> {
    // Another run may have finished it while this one waited for its turn.
    if cache::stamp(place).is_some() {
        return Ok(());
    }
    let fetching = progress::step("fetching herd7", 0);
    let lists = folder.join("apt-sid");
    let apt = apt::PrivateApt::prepare(&lists, apt::UNSTABLE)?;
    let archives = apt.fetch_with_dependencies(&[PACKAGE])?;
    cache::complete(place, |partial| {
        let root = partial.join("root");
        let packages = apt::unpack_all(&archives, &root, || ())?;
        write_local(&model(&root), &partial.join("local"))?;
        Herd::tree(partial).context("the unpacked herd7 is of no use")?;
        Ok(packages)
    })?;
    fetching.finish_and_clear();
    cache::remove(&lists)
}

fn write_local(model: &Path, into: &Path) -> Result<()> {
    let fences = fs::read_to_string(model.join(FENCES))?;
    let fences = with_local_barriers(&fences)
        .with_context(|| format!("{FENCES} is not the one that is known"))?;
    fs::create_dir_all(into)?;
    fs::write(into.join(FENCES), fences)?;
    Ok(())
}

/// The model takes all CPUs to be one domain and ignores `DSB NSH` and `DSB NSHST`. Here they count like the wide ones: right for
/// questions about what one CPU sees of its own doings, and for nothing else.
fn with_local_barriers(fences: &str) -> Option<String> {
    const FULL: &str = "let dsb.full = DSB.ISH | DSB.OSH | DSB.SY\n";
    const STORES: &str = "let dsb.st = DSB.ISHST | DSB.OSHST | DSB.ST\n";
    if !fences.contains(FULL) || !fences.contains(STORES) {
        return None;
    }
    let full = "let DSB.NSH = try DSB.NSH with emptyset\nlet DSB.NSHST = try DSB.NSHST with emptyset\n\
                let dsb.full = DSB.ISH | DSB.OSH | DSB.SY | DSB.NSH\n";
    let stores = "let dsb.st = DSB.ISHST | DSB.OSHST | DSB.ST | DSB.NSHST\n";
    Some(fences.replace(FULL, full).replace(STORES, stores))
}

fn place(folder: &Path) -> Result<PathBuf> {
    Ok(folder.join(format!("herd-{}", apt::architecture()?)))
}

/// Removes the unpacked tree, so that the next use fetches it anew.
pub(super) fn forget(folder: &Path) -> Result<()> {
    cache::remove(&place(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_known_model_is_changed() {
        let known = "let a = b\nlet dsb.full = DSB.ISH | DSB.OSH | DSB.SY\nlet dsb.st = DSB.ISHST | DSB.OSHST | DSB.ST\n";
        let changed = with_local_barriers(known).unwrap();
        assert!(changed.contains("DSB.SY | DSB.NSH\n") && changed.contains("DSB.ST | DSB.NSHST\n"));
        assert!(changed.starts_with("let a = b\n"));
        assert_eq!(
            with_local_barriers("let dsb.full = DSB.ISH | DSB.NSH\n"),
            None
        );
    }
}
