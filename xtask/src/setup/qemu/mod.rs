//! QEMU: the machine's own where it has what is wanted, else Debian's run from an unpacked tree.

mod emulator;
mod probe;
mod start;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use super::missing::{Missing, last_line};
use super::{apt, cache, progress};
pub(crate) use emulator::{AARCH64, EMULATORS, Emulator, Feature, POWERPC, X86_64};
pub(crate) use probe::Qemu;
use start::Start;

/// The one on the PATH where it lacks nothing, else the unpacked one, fetched at the first use; where that cannot be had,
/// the one on the PATH if it has what is needed most.
pub(crate) fn find_or_fetch(emulator: &'static Emulator) -> Result<Qemu, Missing> {
    let on_path = Qemu::probe(emulator, Start::OnPath);
    if let Ok(found) = &on_path
        && found.lacks().is_empty()
    {
        return Ok(found.clone());
    }
    fetched(emulator).or_else(|cause| match on_path {
        Ok(found) => Ok(found.for_want_of_another(last_line(&cause))),
        Err(unfit) => Err(missing(emulator, &unfit, cause)),
    })
}

fn missing(emulator: &Emulator, unfit: &anyhow::Error, cause: anyhow::Error) -> Missing {
    let needed = emulator.needed.iter().map(Feature::to_string);
    let needed = needed.collect::<Vec<_>>().join(", ");
    Missing {
        what: format!("{} with {needed}", emulator.program),
        install: format!(
            "install Debian's {} or your system's equivalent, QEMU 11 for everything",
            emulator.package
        ),
        cause: cause.context(format!("on the PATH: {unfit:#}")),
    }
}

fn fetched(emulator: &'static Emulator) -> Result<Qemu> {
    let folder = cache::folder()?;
    let place = place(&folder)?;
    let fetching = if is_complete(&place) {
        Ok(())
    } else {
        cache::locked(&folder, || fetch(&folder, &place))
    };
    // Where nothing can be fetched any more, an older tree may hold this program all the same.
    Qemu::probe(emulator, Start::tree(&place)?).map_err(|unfit| fetching.err().unwrap_or(unfit))
}

/// Whether the tree holds every program: an older one may hold fewer.
fn is_complete(place: &Path) -> bool {
    cache::stamp(place).is_some_and(|stamp| holds_all(&stamp.packages))
}

fn holds_all(packages: &[String]) -> bool {
    EMULATORS.iter().all(|emulator| {
        packages
            .iter()
            .any(|package| package.split(' ').next() == Some(emulator.package))
    })
}

fn fetch(folder: &Path, place: &Path) -> Result<()> {
    // Another run may have finished it while this one waited for its turn.
    if is_complete(place) {
        return Ok(());
    }
    let lists = progress::step("fetching package lists", 0);
    let apt = apt::PrivateApt::prepare(&folder.join("apt"), apt::RELEASE)?;
    lists.finish_and_clear();
    let fetching = progress::step("fetching QEMU's packages", 0);
    let archives = apt.fetch_with_dependencies(&EMULATORS.map(|emulator| emulator.package))?;
    fetching.finish_and_clear();
    let bar = progress::step("unpacking QEMU", archives.len() as u64);
    cache::complete(place, |partial| {
        let packages = apt::unpack_all(&archives, &partial.join("root"), || bar.inc(1))?;
        for emulator in EMULATORS {
            Qemu::probe(emulator, Start::tree(partial)?)
                .map_err(|error| anyhow!("the unpacked QEMU is of no use: {error:#}"))?;
        }
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
    fn a_tree_without_one_of_the_programs_is_not_complete() {
        let all = [
            "qemu-system-arm 1:11",
            "qemu-system-data 1:11",
            "qemu-system-x86 1:11",
            "qemu-system-ppc 1:11",
        ];
        let all = all.map(String::from);
        assert!(holds_all(&all));
        assert!(!holds_all(&all[..3]));
        let alike = "qemu-system-ppc-xen 1:11".into();
        assert!(!holds_all(&[&all[..3], &[alike]].concat()));
    }
}
