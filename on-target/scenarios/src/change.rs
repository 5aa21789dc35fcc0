//! The change that a case makes, with what the crate does about it or without.

use crate::judge::{ORIGINAL, REPLACEMENT, judge};
use crate::script::{Becomes, Change, Script};
use crate::{
    Cost, Directory, Failure, Flush, Frame, Machine, Observer, PAGES, Page, Refusal, Seen,
};

/// What one play of a case gave.
pub(crate) struct Trial {
    pub(crate) seen: Seen,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) cost: Cost,
}

impl Trial {
    /// Nothing wrong was seen yet.
    const fn costing(cost: Cost) -> Self {
        Self {
            seen: Seen::Fresh,
            refusal: None,
            cost,
        }
    }
}

/// Maps the pages as they are before the change. A table that is to take the place of a large page is complete before the large page
/// hides it.
pub(crate) fn prepare<M: Machine>(
    machine: &mut M,
    script: &Script,
) -> Result<(), Failure<M::Error>> {
    for &page in script.pages.iter().chain(script.kept) {
        machine.fill(Frame(page.0), ORIGINAL | u64::from(page.0));
        machine.fill(Frame(page.0 + PAGES), REPLACEMENT | u64::from(page.0));
    }
    match script.change {
        Change::Entries(_) => {
            for &page in script.pages {
                machine.change(page, Some(script.mapping_before(page)))?;
            }
        }
        Change::Split(moved) => {
            for page in (0..PAGES).map(Page) {
                let mapping = match page == moved {
                    true => script.mapping_after(page),
                    false => Some(script.mapping_before(page)),
                };
                machine.change(page, mapping)?;
            }
            machine.set_directory(Directory::LargePage)?;
        }
    }
    Ok(())
}

/// Makes the change; what was seen meanwhile, if anybody looked.
pub(crate) fn change<M: Machine>(
    machine: &mut M,
    script: &Script,
    observer: Observer,
    cured: bool,
) -> Result<Trial, Failure<M::Error>> {
    match script.change {
        Change::Entries(flush) => change_entries(machine, script, cured.then_some(flush)),
        Change::Split(moved) if cured => split(machine, observer, moved),
        Change::Split(_) => {
            machine.set_directory(Directory::Empty)?;
            machine.set_directory(Directory::Table)?;
            Ok(Trial::costing(Cost::ZERO))
        }
    }
}

/// Changes every page of the script. A new frame takes the old one's place by way of an invalid entry, with the flush in
/// between: some architectures demand that order (break-before-make), none forbids it.
fn change_entries<M: Machine>(
    machine: &mut M,
    script: &Script,
    flush: Option<Flush>,
) -> Result<Trial, Failure<M::Error>> {
    let break_first = script.becomes == Becomes::OtherFrame;
    for &page in script.pages {
        let mapping = script.mapping_after(page).filter(|_| !break_first);
        machine.change(page, mapping)?;
    }
    let cost = match flush {
        Some(flush) => machine.flush(flush)?,
        None => Cost::ZERO,
    };
    if break_first {
        for &page in script.pages {
            machine.change(page, script.mapping_after(page))?;
        }
    }
    Ok(Trial::costing(cost))
}

/// The observer must not get through before the table is there: it would then hold the large page and walk the table as well.
fn split<M: Machine>(
    machine: &mut M,
    observer: Observer,
    moved: Page,
) -> Result<Trial, Failure<M::Error>> {
    let (access, cost) = machine.split(observer, moved)?;
    let (seen, refusal) = judge(machine, Becomes::Unmapped, moved, access, false)?;
    Ok(Trial {
        seen,
        refusal,
        cost,
    })
}
