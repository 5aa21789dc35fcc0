//! A process that has run on one CPU alone: nothing is broadcast.

use anyhow::Result;

use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::Machine;
use crate::page::{Page, SIZE};
use crate::test::Sequence;

pub(super) const PAGE: Scenario = Scenario::new(
    "unmap-page-own",
    "A process that has run on this CPU alone cannot read through the page when flush_page has returned and the CPU returned to it.",
    unmapped,
)
.local();

/// The return from the exception is an ISB.
fn unmapped() -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    machine.on(0).flush_page(&space, Page::X.start(), SIZE)?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    p0.kernels("ISB");
    p0.read("L0", Page::X);
    Ok(Sequence {
        memory: vec![format!("pte_x={}", Page::X.writable())],
        columns: vec![p0],
        outcome: "~fault(P0:L0,x)".into(),
        unseen: &[],
    }
    .into())
}
