//! Break-before-make.

use anyhow::Result;
use tlb_shootdown::change::ReplaceStep;
use tlb_shootdown::flush::Flush;

use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::Machine;
use crate::page::{Page, SIZE};
use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;

pub(super) const REPLACED: Scenario = Scenario::new(
    "replace",
    "The entry leads elsewhere when replace has returned: the architecture's break is there, and nobody reads the old page any more.",
    || {
        Ok(Written {
            sequence: replaced(true)?,
            twins: vec![(unbroken()?, Verdict::NeedsBreak)],
        })
    },
);

/// The old page holds 1 and the new one 2.
fn replaced(breaks: bool) -> Result<Sequence> {
    let machine = Machine::new();
    let (space, asid) = machine.space(&[1, 0]);
    let places = [Page::X.under(asid)];
    let mut p0 = Column::default();
    let mut taken = Ok(());
    let flush = Flush::page(Page::X.start(), SIZE);
    machine.on(0).replace(&space, flush, |step| match step {
        ReplaceStep::Invalidate if breaks => p0.store_entry(Page::X, &Page::X.invalid()),
        ReplaceStep::Invalidate => {}
        ReplaceStep::Store => {
            taken = p0.take(&machine, &places);
            p0.store_entry(Page::X, &Page::Y.writable());
        }
    })?;
    taken?;
    p0.take(&machine, &places)?;
    p0.raise("done");
    let mut p1 = Column::default();
    let seen = p1.acquire("done");
    let read = p1.read("L1", Page::X);
    Ok(Sequence {
        memory: vec![
            "x=1".into(),
            "y=2".into(),
            format!("pte_x={}", Page::X.writable()),
        ],
        columns: vec![p0, p1],
        outcome: format!("1:X{seen}=1 /\\ 1:X{read}=1"),
        unseen: &[],
    })
}

fn unbroken() -> Result<Twin> {
    Ok(Twin {
        name: "without-break".into(),
        what: "the store of the invalid entry left out".into(),
        sequence: replaced(false)?,
    })
}
