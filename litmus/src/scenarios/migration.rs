//! A task that moves to another CPU between the start of a shootdown and the wait for it.

use anyhow::Result;

use super::observer::{Access, Goes, after};
use super::{Scenario, Written};
use crate::column::{Column, Step};
use crate::machine::Machine;
use crate::page::{Page, SIZE};
use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;
use tlb_shootdown::flush::Flush;

pub(super) const TICKET: Scenario = Scenario::new(
    "ticket-migrates",
    "A ticket that was started on P0 and waited for on P1 is complete: who sees the wait's end cannot read through the page.",
    || {
        let sequence = migrated()?;
        let twin = completed_elsewhere(&sequence);
        Ok(Written {
            sequence,
            twins: vec![(twin, Verdict::Sometimes)],
        })
    },
);

/// The scheduler hands the task over by a store-release and a load-acquire, and no barrier of its own.
fn migrated() -> Result<Sequence> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let places = [Page::X.under(asid)];
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    let ticket = machine
        .on(0)
        .start(&space, Flush::page(Page::X.start(), SIZE))?;
    p0.take(&machine, &places)?;
    p0.release("task");
    let mut p1 = Column::default();
    let handed_over = p1.acquire("task");
    machine.on(1);
    ticket.wait().map_err(|unfinished| unfinished.error)?;
    p1.take(&machine, &places)?;
    p1.raise("done");
    let (p2, outcome) = after("done", 2, Access::Read, Page::X, Goes::Through);
    Ok(Sequence {
        memory: vec![format!("pte_x={}", Page::X.writable())],
        columns: vec![p0, p1, p2],
        outcome: format!("1:X{handed_over}=1 /\\ {outcome}"),
        unseen: &[],
    })
}

/// The completion moves with the task, as if `wait` executed it: a DSB waits for the TLBI of its own CPU alone.
fn completed_elsewhere(sequence: &Sequence) -> Twin {
    let mut sequence = sequence.clone();
    let is_completion = |step: &Step| matches!(step, Step::Emitted(instruction, _) if instruction.name == "DSB ISH");
    let [p0, p1, ..] = sequence.columns.as_mut_slice() else {
        unreachable!("three columns")
    };
    if let Some(last) = p0.steps.iter().rposition(is_completion) {
        let completion = p0.steps.remove(last);
        p1.steps.insert(1, completion);
    }
    Twin {
        name: "dsb-ish-on-p1".into(),
        what: "DSB ISH executed by P1, after the task has moved".into(),
        sequence,
    }
}
