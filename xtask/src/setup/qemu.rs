//! A `qemu-system-aarch64` with an SMMUv3 and the `edu` device: the machine's own, or Debian's run from an unpacked tree.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use super::{Missing, apt, cache, progress};
use crate::process;

const PROGRAM: &str = "qemu-system-aarch64";
const PACKAGE: &str = "qemu-system-arm";

/// A program that answers questions about itself answers at once.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// A QEMU that has been probed for what the demo needs.
#[derive(Clone, Debug)]
pub(crate) struct Qemu {
    start: Start,
    /// The version it reports, such as `11.1.3`.
    pub version: String,
    /// Whether it has the `iommu-testdev` device (QEMU 11).
    pub has_iommu_testdev: bool,
}

#[derive(Clone, Debug)]
enum Start {
    OnPath,
    /// The root of an unpacked tree, started through its own loader and libraries.
    Tree {
        root: PathBuf,
        libraries: PathBuf,
        loader: PathBuf,
    },
}

impl Qemu {
    /// A command that starts it, without any argument of a machine yet.
    pub(crate) fn command(&self) -> Command {
        self.start.command()
    }

    fn probe(start: Start) -> Result<Self> {
        let ask = |words: &[&str]| {
            let answer = process::capture(start.command().args(words), PROBE_LIMIT)?;
            if !answer.success() {
                bail!(
                    "`{PROGRAM} {}` failed: {}",
                    words.join(" "),
                    answer.stderr.trim()
                );
            }
            Ok(answer.stdout)
        };
        let machine = ask(&["-M", "virt,help"])?;
        if !machine
            .lines()
            .any(|line| line.trim_start().starts_with("iommu=") && line.contains("smmuv3"))
        {
            bail!("{PROGRAM} has no machine `virt` with `iommu=smmuv3`");
        }
        let devices = ask(&["-device", "help"])?;
        if !devices.contains("\"edu\"") {
            bail!("{PROGRAM} has no device `edu`");
        }
        let version =
            parse_version(&ask(&["--version"])?).context("QEMU's version cannot be read")?;
        let has_iommu_testdev = devices.contains("\"iommu-testdev\"");
        Ok(Self {
            start,
            version,
            has_iommu_testdev,
        })
    }
}

impl std::fmt::Display for Qemu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let testdev = if self.has_iommu_testdev {
            "with"
        } else {
            "without"
        };
        write!(f, "{} ({testdev} iommu-testdev), ", self.version)?;
        match &self.start {
            Start::OnPath => write!(f, "from the PATH"),
            Start::Tree { root, .. } => write!(f, "unpacked in {}", root.display()),
        }
    }
}

impl Start {
    fn command(&self) -> Command {
        match self {
            Self::OnPath => Command::new(PROGRAM),
            Self::Tree {
                root,
                libraries,
                loader,
            } => {
                let mut command = Command::new(loader);
                command
                    .arg("--library-path")
                    .arg(libraries)
                    .arg(root.join("usr/bin").join(PROGRAM));
                command.arg("-L").arg(root.join("usr/share/qemu"));
                command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
                command
            }
        }
    }

    fn tree(folder: &Path) -> Result<Self> {
        let (loader, triplet) = match apt::architecture()?.as_str() {
            "amd64" => ("usr/lib64/ld-linux-x86-64.so.2", "x86_64-linux-gnu"),
            "arm64" => ("usr/lib/ld-linux-aarch64.so.1", "aarch64-linux-gnu"),
            other => bail!("unpacked QEMU packages are not supported on {other}"),
        };
        let root = folder.join("root");
        Ok(Self::Tree {
            loader: root.join(loader),
            libraries: root.join("usr/lib").join(triplet),
            root,
        })
    }
}

fn parse_version(text: &str) -> Option<String> {
    let rest = text.split_once("version ")?.1;
    Some(rest.split_whitespace().next()?.to_owned())
}

/// The QEMU on the PATH where it has what is needed, else the unpacked one, fetched at the first use.
pub(crate) fn find_or_fetch() -> Result<Qemu, Missing> {
    let unfit = match Qemu::probe(Start::OnPath) {
        Ok(found) => return Ok(found),
        Err(unfit) => unfit,
    };
    fetched().map_err(|cause| Missing {
        what: "qemu-system-aarch64 with SMMUv3 and the edu device",
        install: format!("install Debian's {PACKAGE} or your system's equivalent, QEMU 7 or newer"),
        cause: cause.context(format!("on the PATH: {unfit:#}")),
    })
}

fn fetched() -> Result<Qemu> {
    let folder = cache::folder()?;
    let place = place(&folder)?;
    if cache::stamp(&place).is_none() {
        cache::locked(&folder, || fetch(&folder, &place))?;
    }
    Qemu::probe(Start::tree(&place)?)
}

fn fetch(folder: &Path, place: &Path) -> Result<()> {
    // Another run may have finished it while this one waited for its turn.
    if cache::stamp(place).is_some() {
        return Ok(());
    }
    let lists = progress::step("fetching package lists", 0);
    let apt = apt::PrivateApt::prepare(&folder.join("apt"))?;
    lists.finish_and_clear();
    let fetching = progress::step("fetching QEMU's packages", 0);
    let archives = apt.fetch_with_dependencies(PACKAGE)?;
    fetching.finish_and_clear();
    let bar = progress::step("unpacking QEMU", archives.len() as u64);
    cache::complete(place, |partial| {
        let root = partial.join("root");
        let mut packages = Vec::new();
        for archive in &archives {
            apt::unpack(archive, &root)?;
            packages.push(apt::name_and_version(archive)?);
            bar.inc(1);
        }
        Qemu::probe(Start::tree(partial)?)
            .map_err(|error| anyhow!("the unpacked QEMU is of no use: {error:#}"))?;
        Ok(packages)
    })?;
    bar.finish_and_clear();
    // Everything in it is unpacked now, and a later fetch must not find old archives among its own.
    cache::remove(&folder.join("apt/cache"))
}

fn place(folder: &Path) -> Result<PathBuf> {
    Ok(folder.join(format!("qemu-{}", apt::architecture()?)))
}

/// Removes the unpacked tree, so that the next use fetches it anew.
pub(crate) fn forget(folder: &Path) -> Result<()> {
    cache::remove(&place(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_version() {
        let text = "QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1~bpo13+1)\nCopyright (c) 2003-2026\n";
        assert_eq!(parse_version(text).as_deref(), Some("11.1.3"));
        assert_eq!(
            parse_version("QEMU emulator version 7.2.0\n").as_deref(),
            Some("7.2.0")
        );
        assert_eq!(parse_version("something else"), None);
    }
}
