//! The frame's next owner, who reaches it by another address (Y) as soon as the shootdown is over.

use anyhow::Result;

use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::Machine;
use crate::page::{Page, SIZE};
use crate::test::Sequence;

pub(super) const READ: Scenario = Scenario::new(
    "reuse-read",
    "What the frame's next owner writes is not read through the old translation.",
    || {
        let mut p1 = Column::default();
        let read = p1.read("L1", Page::X);
        reused(p1, format!("1:X{read}=2"))
    },
);

pub(super) const WRITTEN: Scenario = Scenario::new(
    "reuse-write",
    "What is written through the old translation does not land on what the frame's next owner has written.",
    || {
        let mut p1 = Column::default();
        p1.write("L1", Page::X, 1);
        reused(p1, "[x]=1".into())
    },
);

fn reused(p1: Column, outcome: String) -> Result<Written> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    machine.on(0).flush_page(&space, Page::X.start(), SIZE)?;
    p0.take(&machine, &[Page::X.under(asid)])?;
    p0.write("L0", Page::Y, 2);
    Ok(Sequence {
        memory: vec![
            "x=0".into(),
            format!("pte_x={}", Page::X.writable()),
            format!("pte_y={}", Page::X.writable()),
        ],
        columns: vec![p0, p1],
        outcome,
        unseen: &[],
    }
    .into())
}
