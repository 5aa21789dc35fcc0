//! How one of QEMU's programs is started.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::setup::apt;

/// Where the programs lie.
#[derive(Clone, Debug)]
pub(super) enum Start {
    OnPath,
    /// The root of an unpacked tree, started through its own loader and libraries.
    Tree {
        root: PathBuf,
        libraries: PathBuf,
        loader: PathBuf,
    },
}

impl Start {
    /// The programs in a tree that was unpacked in `folder`.
    pub(super) fn tree(folder: &Path) -> Result<Self> {
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

    /// A command that starts `program`, without any argument of a machine yet.
    pub(super) fn command(&self, program: &str) -> Command {
        match self {
            Self::OnPath => Command::new(program),
            Self::Tree {
                root,
                libraries,
                loader,
            } => {
                let mut command = Command::new(loader);
                command
                    .arg("--library-path")
                    .arg(libraries)
                    .arg(root.join("usr/bin").join(program));
                for data in ["usr/share/qemu", "usr/share/seabios"] {
                    command.arg("-L").arg(root.join(data));
                }
                command.env("QEMU_MODULE_DIR", libraries.join("qemu"));
                command
            }
        }
    }
}

impl std::fmt::Display for Start {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OnPath => write!(f, "from the PATH"),
            Self::Tree { root, .. } => write!(f, "unpacked in {}", root.display()),
        }
    }
}
