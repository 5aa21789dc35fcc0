//! Kernel mappings.

use anyhow::Result;
use tlb_shootdown::address::PageRange;

use super::observer::{Access, Goes, after};
use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::Machine;
use crate::page::{Page, SIZE};
use crate::test::Sequence;

pub(super) const RANGE: Scenario = Scenario::new(
    "kernel-page",
    "Who sees that flush_kernel_range has returned cannot read through the page any more.",
    || {
        let mut p0 = flushed()?;
        p0.raise("done");
        let (p1, outcome) = after("done", 1, Access::Read, Page::KERNEL, Goes::Through);
        // The ISB is for the CPU that flushes.
        Ok(sequence(vec![p0, p1], outcome, &["P0 without ISB"]))
    },
);

pub(super) const OWN: Scenario = Scenario::new(
    "kernel-page-own",
    "The CPU that called flush_kernel_range cannot read through the page any more, and no return from an exception lies between.",
    || {
        let mut p0 = flushed()?;
        p0.read("L0", Page::KERNEL);
        // The CPU's own entries need no broadcast.
        let unseen = &["P0 TLBI VAALE1 for TLBI VAALE1IS"];
        Ok(sequence(vec![p0], "~fault(P0:L0,x)".into(), unseen))
    },
);

fn flushed() -> Result<Column> {
    let machine = Machine::new();
    let mut p0 = Column::default();
    p0.store_entry(Page::KERNEL, &Page::KERNEL.invalid());
    machine
        .on(0)
        .flush_kernel_range(PageRange::page(Page::KERNEL.start(), SIZE))?;
    p0.take(&machine, &[Page::KERNEL.of_kernel()])?;
    Ok(p0)
}

fn sequence(columns: Vec<Column>, outcome: String, unseen: &'static [&'static str]) -> Written {
    Sequence {
        memory: vec![format!("pte_x={}", Page::KERNEL.writable())],
        columns,
        outcome,
        unseen,
    }
    .into()
}
