//! Rights given: nobody may go on faulting.

use anyhow::{Result, ensure};
use tlb_shootdown::arch::aarch64::change::{Level, Needed, needed};
use tlb_shootdown::flush::Flush;

use super::observer::{Access, Goes, after};
use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::Machine;
use crate::page::{Page, SIZE};
use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;

pub(super) const EVERYWHERE: Scenario = Scenario::new(
    "upgrade-everywhere",
    "The kernel repairs no faults: who sees that flush_upgrade has returned can write to the page.",
    everywhere,
);

pub(super) const LAZILY: Scenario = Scenario::new(
    "upgrade-own",
    "The kernel repairs faults: the CPU that made the upgrade can itself write to the page when it returns to the process.",
    lazily,
)
.local();

pub(super) const SPURIOUS: Scenario = Scenario::new(
    "upgrade-spurious-fault",
    "Another CPU, whose old entry made it fault, can write when fix_spurious_fault has returned: no broadcast is needed.",
    spurious,
)
.local();

pub(super) const FRESH: Scenario = Scenario::new(
    "map-fresh-page",
    "An entry becomes valid where none was: nothing is emitted, and nobody who has synchronised with the kernel's own store faults.",
    fresh,
);

fn upgrade() -> Flush {
    Flush::page(Page::X.start(), SIZE)
}

fn before(value: &str) -> Vec<String> {
    vec![format!("pte_x={value}")]
}

fn everywhere() -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.writable());
    machine.on(0).flush_upgrade(&space, upgrade())?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    p0.raise("done");
    let (p1, outcome) = after("done", 1, Access::Write, Page::X, Goes::Wrong);
    Ok(Sequence {
        memory: before(&Page::X.read_only()),
        columns: vec![p0, p1],
        outcome,
        unseen: &[],
    }
    .into())
}

fn lazily() -> Result<Written> {
    let machine = Machine::that_repairs_spurious_faults();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.writable());
    machine.on(0).flush_upgrade(&space, upgrade())?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    p0.kernels("ISB");
    p0.write("L0", Page::X, 1);
    Ok(Sequence {
        memory: before(&Page::X.read_only()),
        columns: vec![p0],
        outcome: "fault(P0:L0,x)".into(),
        unseen: &[],
    }
    .into())
}

/// The fault handler has taken the lock of the page table that the upgrade was made under, and returns by an ERET.
fn spurious() -> Result<Written> {
    let machine = Machine::that_repairs_spurious_faults();
    let (space, asid) = machine.space(&[1, 0]);
    let places = [Page::X.under(asid)];
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.writable());
    machine.on(0).flush_upgrade(&space, upgrade())?;
    p0.take(&machine, &places)?;
    p0.release("lock");
    let mut p1 = Column::default();
    let locked = p1.acquire("lock");
    p1.once(locked, "C1");
    machine
        .on(1)
        .fix_spurious_fault(&space, Page::X.start(), SIZE)?;
    p1.take(&machine, &places)?;
    p1.kernels("ISB");
    p1.write("L1", Page::X, 1);
    Ok(Sequence {
        memory: before(&Page::X.read_only()),
        columns: vec![p0, p1],
        outcome: format!("1:X{locked}=1 /\\ fault(P1:L1,x)"),
        // P0 flushes for itself alone, and has made the store whose barrier P1 repeats.
        unseen: &[
            "P0 without DSB ISHST",
            "P0 DMB ISHST for DSB ISHST",
            "P0 without TLBI VALE1",
            "P0 without DSB NSH",
            "P1 without DSB NSHST",
        ],
    }
    .into())
}

/// The kernel publishes an entry by a barrier of its own, and the observer returns to the process by an ERET.
fn fresh() -> Result<Written> {
    const READABLE: u64 = 0x0060_0000_4000_0443;
    ensure!(needed(0, READABLE, Level::PageTable, 0) == Needed::Nothing);
    let sequence = |publishes: bool| {
        let mut p0 = Column::default();
        p0.store_entry(Page::X, &Page::X.writable());
        if publishes {
            p0.kernels("DSB ISHST");
        }
        p0.raise("done");
        let mut p1 = Column::default();
        let seen = p1.acquire("done");
        p1.once(seen, "C1");
        p1.kernels("ISB");
        p1.read("L1", Page::X);
        Sequence {
            memory: before(&Page::X.invalid()),
            columns: vec![p0, p1],
            outcome: format!("1:X{seen}=1 /\\ fault(P1:L1,x)"),
            unseen: &[],
        }
    };
    let unpublished = Twin {
        name: "without-the-kernels-barrier".into(),
        what: "the kernel's DSB ISHST left out".into(),
        sequence: sequence(false),
    };
    Ok(Written {
        sequence: sequence(true),
        twins: vec![(unpublished, Verdict::Sometimes)],
    })
}
