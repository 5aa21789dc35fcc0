//! Changes that are flushed together, or by somebody else.

use anyhow::{Result, ensure};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::batch::{Gather, Reclaim};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::ticket::Frames;

use super::observer::{Access, Goes, after};
use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::{Machine, Nowhere};
use crate::page::{Page, Place, SIZE};
use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;

pub(super) const GATHER: Scenario = Scenario::new(
    "gather-two-pages",
    "One gather, one pair of barriers: neither of two scattered pages can be read when it has finished.",
    gathered,
);

pub(super) const RECLAIM: Scenario = Scenario::new(
    "reclaim-two-spaces",
    "One batch, one pair of barriers: a page of neither process can be read when it has been flushed.",
    reclaimed,
);

pub(super) const PENDING: Scenario = Scenario::new(
    "flush-pending",
    "An entry was cleared by a CPU whose batch is still open; who called flush_pending on another may rely on its being gone.",
    pending,
);

pub(super) const MIGRATED: Scenario = Scenario::new(
    "batch-migrates",
    "A batch was filled on P0 and is flushed on P1: who sees that it has been flushed cannot read through the page any more.",
    migrated,
);

/// Two CPUs that watch one page each.
pub(super) fn watched(p0: Column) -> Sequence {
    let (p1, first) = after("done", 1, Access::Read, Page::X, Goes::Through);
    let (p2, second) = after("done", 2, Access::Read, Page::Y, Goes::Through);
    Sequence {
        memory: [Page::X, Page::Y]
            .map(|page| format!("{}={}", page.entry(), page.writable()))
            .to_vec(),
        columns: vec![p0, p1, p2],
        outcome: format!("{first} \\/ {second}"),
        unseen: &[],
    }
}

/// Both pages are taken out.
pub(super) fn cleared() -> Column {
    let mut p0 = Column::default();
    for page in [Page::X, Page::Y] {
        p0.store_entry(page, &page.invalid());
    }
    p0
}

fn gathered() -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = cleared();
    let mut gather = Gather::new(machine.on(0), &space, Frames::inline::<2>(&Nowhere))?;
    for page in [Page::X, Page::Y] {
        gather.unmap(page.start(), SIZE, Some(PhysAddr::new(page.address)))?;
    }
    gather.finish()?;
    p0.take(&machine, &[Page::X, Page::Y].map(|page| page.under(asid)))?;
    p0.raise("done");
    Ok(watched(p0).into())
}

fn reclaimed() -> Result<Written> {
    let machine = Machine::new();
    let (one, first) = machine.space(&[1, 0]);
    let (other, second) = machine.space(&[1, 0]);
    let places: [Place; 2] = [Page::X.under(first), Page::Y.under(second)];
    let mut p0 = cleared();
    let mut batch = Reclaim::<_, 1, 2>::new(machine.on(0));
    batch.add(&one, Flush::page(Page::X.start(), SIZE))?;
    batch.add(&other, Flush::page(Page::Y.start(), SIZE))?;
    batch.flush()?;
    p0.take(&machine, &places)?;
    p0.raise("done");
    Ok(watched(p0).into())
}

/// The page-table lock sees to it that P1 reads the number of changes as P0 has left it, and is not written here: flush_pending branches on that
/// number, and puts its TLBI behind the load by that.
fn pending() -> Result<Written> {
    let unbranched = Twin {
        name: "without-the-branch-of-flush_pending".into(),
        what: "the branch on what is pending left out".into(),
        sequence: pending_under(|_, _| {})?,
    };
    Ok(Written {
        sequence: pending_under(|p1, found| p1.once(found, "C1"))?,
        twins: vec![(unbranched, Verdict::Sometimes)],
    })
}

fn pending_under(decide: fn(&mut Column, usize)) -> Result<Sequence> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let places = [Page::X.under(asid)];
    machine.on(1).flush_pending(&space)?;
    let without = machine.take();
    ensure!(without.is_empty(), "flushed without a branch: {without:?}");
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    let mut batch = Reclaim::<_, 1, 2>::new(machine.on(0));
    batch.add(&space, Flush::page(Page::X.start(), SIZE))?;
    p0.take(&machine, &places)?;
    p0.release("deferred");
    let mut p1 = Column::default();
    let found = p1.acquire("deferred");
    decide(&mut p1, found);
    machine.on(1).flush_pending(&space)?;
    p1.take(&machine, &places)?;
    p1.raise("done");
    machine.on(0);
    drop(batch);
    flushed_for_another(p0, p1, found)
}

/// The task that has filled a batch goes on elsewhere. The context switch branches to where the task was, an address that it has loaded.
fn migrated() -> Result<Written> {
    let unbranched = Twin {
        name: "without-the-branch-to-the-task".into(),
        what: "nothing on P1 depends on the task's being there".into(),
        sequence: migrated_by(|_, _| {})?,
    };
    Ok(Written {
        sequence: migrated_by(|p1, arrived| p1.once(arrived, "C1"))?,
        twins: vec![(unbranched, Verdict::Sometimes)],
    })
}

fn migrated_by(go_on: fn(&mut Column, usize)) -> Result<Sequence> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let places = [Page::X.under(asid)];
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    let mut batch = Reclaim::<_, 1, 2>::new(machine.on(0));
    batch.add(&space, Flush::page(Page::X.start(), SIZE))?;
    p0.take(&machine, &places)?;
    p0.release("task");
    let mut p1 = Column::default();
    let arrived = p1.acquire("task");
    go_on(&mut p1, arrived);
    machine.on(1);
    batch.flush()?;
    p1.take(&machine, &places)?;
    p1.raise("done");
    flushed_for_another(p0, p1, arrived)
}

fn flushed_for_another(p0: Column, p1: Column, handed_over: usize) -> Result<Sequence> {
    let (p2, outcome) = after("done", 2, Access::Read, Page::X, Goes::Through);
    Ok(Sequence {
        memory: vec![format!("pte_x={}", Page::X.writable())],
        columns: vec![p0, p1, p2],
        outcome: format!("1:X{handed_over}=1 /\\ {outcome}"),
        // The store is P0's: its barrier on P1 serves stores that P1 itself has made before.
        unseen: &["P1 without DSB ISHST", "P1 DMB ISHST for DSB ISHST"],
    })
}
