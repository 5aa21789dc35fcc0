//! Translations taken away, watched by another CPU.

use anyhow::Result;
use tlb_shootdown::address::{PageRange, PageSize};
use tlb_shootdown::change::{Decision, Reason};
use tlb_shootdown::flush::Flush;

use super::observer::{Access, Goes, after};
use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::{Engine, Machine, Space};
use crate::page::{Page, Place, SIZE};
use crate::test::Sequence;

pub(super) const PAGE: Scenario = Scenario::new(
    "unmap-page",
    "Who sees that flush_page has returned cannot read through the page any more.",
    || {
        unmapped(|engine, space| {
            engine.flush_page(space, Page::X.start(), SIZE)?;
            Ok(())
        })
    },
);

pub(super) const TABLES: Scenario = Scenario::new(
    "unmap-with-tables",
    "The same of a flush that drops walk caches as well.",
    || {
        unmapped(|engine, space| {
            engine.flush(space, Flush::pages(PageRange::page(Page::X.start(), SIZE)))?;
            Ok(())
        })
    },
);

pub(super) const SPACE: Scenario = Scenario::new(
    "unmap-space",
    "The same of a flush of the whole space.",
    || {
        unmapped(|engine, space| {
            engine.flush_space(space)?;
            Ok(())
        })
    },
);

pub(super) const RETIRED: Scenario = Scenario::new(
    "retire",
    "Who sees that a space has been retired cannot read through its pages any more.",
    retired,
);

pub(super) const DOWNGRADE: Scenario = Scenario::new(
    "downgrade",
    "Who sees that the flush of a page made read-only has returned cannot write to it any more.",
    downgraded,
);

pub(super) const RANGE: Scenario = Scenario::new(
    "unmap-range",
    "Two pages flushed by one range operation, written here page by page: neither can be read any more.",
    range,
);

/// Page X is taken out of a process that runs on both CPUs.
fn unmapped(flush: fn(&Engine, &Space) -> Result<()>) -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    flush(machine.on(0), &space)?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    p0.raise("done");
    let (p1, outcome) = after("done", 1, Access::Read, Page::X, Goes::Through);
    Ok(sequence(vec![p0, p1], outcome).into())
}

fn sequence(columns: Vec<Column>, outcome: String) -> Sequence {
    Sequence {
        memory: vec![format!("pte_x={}", Page::X.writable())],
        columns,
        outcome,
        unseen: &[],
    }
}

/// CPU 1 is also asked to leave the root, and flushes for itself when it does. That is left out: the broadcast has to suffice.
fn retired() -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    let ticket = machine.on(0).retire(&space)?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    machine.on(1).on_ipi();
    machine.on(0);
    ticket.wait().map_err(|unfinished| unfinished.error)?;
    p0.raise("done");
    let (p1, outcome) = after("done", 1, Access::Read, Page::X, Goes::Through);
    Ok(sequence(vec![p0, p1], outcome).into())
}

fn downgraded() -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.read_only());
    let decision = Decision::on_any_machine(Reason::Downgrade);
    let flush = decision.flush(PageRange::page(Page::X.start(), SIZE), Some(SIZE));
    machine.on(0).flush(&space, flush)?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    p0.raise("done");
    let (p1, outcome) = after("done", 1, Access::Write, Page::X, Goes::Through);
    Ok(sequence(vec![p0, p1], outcome).into())
}

fn range() -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let pages: [Page; 2] = [Page::X, Page::NEXT];
    let places: Vec<Place> = pages.iter().map(|page| page.under(asid)).collect();
    let mut p0 = Column::default();
    for page in pages {
        p0.store_entry(page, &page.invalid());
    }
    let both = PageRange::from_len(Page::X.start(), 2 * SIZE.bytes(), PageSize::KIB_4)?;
    machine
        .on(0)
        .flush(&space, Flush::pages(both).leaf_only().leaf_size(SIZE))?;
    p0.take(&machine, &places)?;
    p0.raise("done");
    let (p1, first) = after("done", 1, Access::Read, Page::X, Goes::Through);
    let (p2, second) = after("done", 2, Access::Read, Page::NEXT, Goes::Through);
    let mut sequence = sequence(vec![p0, p1, p2], format!("{first} \\/ {second}"));
    sequence
        .memory
        .push(format!("pte_y={}", Page::NEXT.writable()));
    Ok(sequence.into())
}
