//! The sources of `core` for targets whose compiled `core` is not installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::missing::Missing;
use super::{apt, cache, progress};
use crate::workspace;

/// The bare-metal target of the AArch64 kernel.
pub(crate) const AARCH64: &str = "aarch64-unknown-none-softfloat";
/// The bare-metal target that shows the library builds for x86-64.
pub(crate) const X86_64: &str = "x86_64-unknown-none";
/// The bare-metal target of the POWER kernel: a description of the project's own, because rustc has none.
pub(crate) const POWERPC: &str = "on-target/powerpc/powerpc64le-unknown-none.json";
/// Every bare-metal target that something is built for.
pub(crate) const TARGETS: [&str; 3] = [AARCH64, X86_64, POWERPC];

/// Where `core` comes from for one target.
#[derive(Clone, Debug)]
pub(crate) enum Core {
    /// Compiled, from the toolchain's own component for the target.
    Installed,
    /// Built from the toolchain's `rust-src` component.
    Component,
    /// Built from a source tree of ours: the path of its `library` folder.
    Tree(PathBuf),
}

impl std::fmt::Display for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Installed => write!(f, "installed with the toolchain"),
            Self::Component => write!(f, "built from the toolchain's rust-src"),
            Self::Tree(path) => write!(f, "built from {}", path.display()),
        }
    }
}

impl Core {
    /// Tells a cargo command to build for `target` with this `core`.
    ///
    /// `-Zbuild-std` on a stable toolchain takes `RUSTC_BOOTSTRAP`; it stays out of the configuration files so that
    /// everything built for the host stays plain stable Rust.
    pub(crate) fn apply(&self, cargo: &mut Command, target: &str) {
        cargo.args(["--target", target]);
        cargo.env("CARGO_TARGET_DIR", workspace::on_target_dir());
        cargo.args(self.build_std(target));
        cargo.envs(self.environment());
    }

    /// The arguments that cargo needs besides `--target`.
    pub(crate) fn build_std(&self, target: &str) -> Vec<&'static str> {
        let mut arguments = match self {
            Self::Installed => Vec::new(),
            Self::Component | Self::Tree(_) => vec![
                "-Zbuild-std=core,alloc",
                "-Zbuild-std-features=compiler-builtins-mem",
            ],
        };
        if is_described_here(target) {
            arguments.push("-Zjson-target-spec");
        }
        arguments
    }

    /// The environment that cargo needs.
    pub(crate) fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        match self {
            Self::Installed => Vec::new(),
            Self::Component => vec![("RUSTC_BOOTSTRAP", "1".into())],
            Self::Tree(library) => {
                vec![
                    ("RUSTC_BOOTSTRAP", "1".into()),
                    ("__CARGO_TESTS_ONLY_SRC_ROOT", library.clone()),
                ]
            }
        }
    }
}

/// Whether the target is a file of ours; its `core` is then never a component of the toolchain.
fn is_described_here(target: &str) -> bool {
    target.ends_with(".json")
}

/// What cargo calls the target's folder among those that it builds into.
pub(crate) fn folder_of(target: &str) -> &str {
    let file = target.rsplit('/').next().unwrap_or(target);
    file.strip_suffix(".json").unwrap_or(file)
}

/// The compiled `core` of the target, the toolchain's own sources, or Debian's of the same release.
pub(crate) fn find_or_fetch(target: &str) -> Result<Core, Missing> {
    let release = workspace::rustc_release();
    find(target)
        .and_then(|found| found.map_or_else(|| fetched(&release?), Ok))
        .map_err(|cause| Missing {
            what: "`core` for bare metal".into(),
            install: if is_described_here(target) {
                "run `rustup component add rust-src`".into()
            } else {
                format!("run `rustup component add rust-src` or `rustup target add {target}`")
            },
            cause,
        })
}

fn find(target: &str) -> Result<Option<Core>> {
    if !is_described_here(target) && is_installed(target)? {
        return Ok(Some(Core::Installed));
    }
    let sysroot = PathBuf::from(workspace::ask_rustc(&["--print", "sysroot"])?);
    let has_sources = sysroot
        .join("lib/rustlib/src/rust/library/Cargo.lock")
        .exists();
    Ok(has_sources.then_some(Core::Component))
}

fn is_installed(target: &str) -> Result<bool> {
    let compiled = workspace::ask_rustc(&["--print", "target-libdir", "--target", target])?;
    Ok(fs::read_dir(compiled).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    }))
}

fn fetched(release: &str) -> Result<Core> {
    let folder = cache::folder()?;
    let place = folder.join(format!("core-{release}"));
    if cache::stamp(&place).is_none() {
        cache::locked(&folder, || fetch(&folder, &place, release))?;
    }
    Ok(Core::Tree(place.join("library")))
}

fn fetch(folder: &Path, place: &Path, release: &str) -> Result<()> {
    if cache::stamp(place).is_some() {
        return Ok(());
    }
    if !release
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        bail!("Debian carries the sources of stable releases only, not of {release}");
    }
    let fetching = progress::step("fetching the sources of core", 0);
    let apt = apt::PrivateApt::prepare(&folder.join("apt"), apt::RELEASE)?;
    let downloads = folder.join("rust-src");
    let archive = apt.fetch_alone(&format!("rust-src={release}*"), &downloads)?;
    cache::complete(place, |partial| {
        unpack_library(&archive, partial)?;
        write_workspace(&partial.join("library"))?;
        Ok(vec![apt::name_and_version(&archive)?])
    })?;
    fetching.finish_and_clear();
    cache::remove(&downloads)
}

/// The folders of `library/` that `core` and `alloc` are built from.
const WANTED: [&str; 5] = [
    "core",
    "alloc",
    "compiler-builtins",
    "portable-simd",
    "stdarch/crates/core_arch",
];

/// Unpacks only those: 28 MB instead of half a gigabyte.
fn unpack_library(archive: &Path, into: &Path) -> Result<()> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(archive)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let stream = reader.stdout.take().context("no pipe from dpkg-deb")?;
    let mut tar = Command::new("tar");
    tar.args([
        "-x",
        "--no-same-owner",
        "--strip-components=4",
        "--wildcards",
        "--no-wildcards-match-slash",
        "-C",
    ])
    .arg(into)
    .stdin(stream);
    tar.args(WANTED.map(|name| format!("./usr/src/rustc-*/library/{name}")));
    let unpacked = tar.status().context("cannot start tar")?;
    let read = reader.wait()?;
    if !unpacked.success() || !read.success() {
        bail!("{} could not be unpacked", archive.display());
    }
    Ok(())
}

/// A workspace around them, in place of the standard library's own, whose other members want crates from a registry.
///
/// Cargo looks for a package `sysroot` and these four features of it, and builds what it is asked for among its
/// dependencies.
fn write_workspace(library: &Path) -> Result<()> {
    fs::write(
        library.join("Cargo.toml"),
        "[workspace]\nresolver = \"2\"\nmembers = [\"sysroot\"]\n\
         exclude = [\"alloc\", \"compiler-builtins\", \"core\"]\n",
    )?;
    let sysroot = library.join("sysroot");
    fs::create_dir_all(sysroot.join("src"))?;
    fs::write(sysroot.join("src/lib.rs"), "#![no_std]\n")?;
    fs::write(
        sysroot.join("Cargo.toml"),
        "[package]\nname = \"sysroot\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nalloc = { path = \"../alloc\" }\ncore = { path = \"../core\" }\n\n\
         [features]\ndefault = []\nbacktrace = []\npanic-unwind = []\n\
         compiler-builtins-mem = [\"alloc/compiler-builtins-mem\"]\n",
    )?;
    Ok(())
}

/// Removes the source trees, so that the next use fetches them anew.
pub(crate) fn forget(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("core-") {
            cache::remove(&entry.path())?;
        }
    }
    Ok(())
}
