//! Two ASIDs for each process, of which the kernel runs under one and the process under the other. herd7 has no ASIDs, so a page is two here.

use anyhow::Result;
use tlb_shootdown::flush::Flush;

use super::batch::{cleared, watched};
use super::{Scenario, Written};
use crate::machine::Machine;
use crate::page::{Page, SIZE};

pub(super) const PAGE: Scenario = Scenario::new(
    "unmap-page-kpti",
    "The page can be read under neither ASID of the pair when flush_page has returned: one pair of barriers for both.",
    || flushed(Flush::page(Page::X.start(), SIZE)),
);

pub(super) const SPACE: Scenario = Scenario::new(
    "unmap-space-kpti",
    "The same of a flush of the whole space.",
    || flushed(Flush::all()),
);

fn flushed(flush: Flush) -> Result<Written> {
    let machine = Machine::with_pairs_of_asids();
    let (space, even) = machine.space(&[1, 0]);
    let places = [Page::X.under(even), Page::ALIAS.under(even | 1)];
    let mut p0 = cleared();
    machine.on(0).flush(&space, flush)?;
    p0.take(&machine, &places)?;
    p0.raise("done");
    Ok(watched(p0).into())
}
