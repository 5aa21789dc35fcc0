//! CPUs whose broadcasts have to be repeated. Their fault is no part of Arm's model, so it is written into the tests.

use anyhow::{Context, Result};
use tlb_shootdown::address::PageRange;
use tlb_shootdown_model::recorder::aarch64::Executed;

use super::meeting::{Half, Kind, Meeting};
use super::observer::{Access, Goes, after, goes_on};
use super::{Scenario, Written};
use crate::column::{Column, Step};
use crate::machine::{AFFECTED, Machine};
use crate::page::{Page, SIZE};
use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;

pub(super) const REPEATED: Scenario = Scenario::new(
    "repeat-tlbi",
    "A DSB of an affected CPU waits for nothing the first time, and is left out here: who sees that flush_page has returned cannot read through the page, thanks to the repeat.",
    repeated,
);

pub(super) const JOINS: Scenario = Scenario::new(
    "repeat-tlbi-late-cpu",
    "An affected CPU, which no broadcast reaches here, comes online: a flush that has not seen its erratum is of an entry that it reads no more.",
    joins,
)
.local();

/// An instruction of the library's by its name, the first one from this step on.
fn find(column: &Column, name: &str, from: usize) -> Result<usize> {
    let is_it =
        |step: &Step| matches!(step, Step::Emitted(instruction, _) if instruction.name == name);
    let found = column.steps.iter().skip(from).position(is_it);
    Ok(from + found.with_context(|| format!("no {name}"))?)
}

fn repeated() -> Result<Written> {
    let machine = Machine::affected();
    let (space, asid) = machine.space(&[1, 0]);
    let mut p0 = Column::default();
    p0.store_entry(Page::X, &Page::X.invalid());
    machine.on(0).flush_page(&space, Page::X.start(), SIZE)?;
    p0.take(&machine, &[Page::X.under(asid), Page::NOBODYS.under(0)])?;
    let first = find(&p0, "DSB ISH", 0)?;
    p0.steps.remove(first);
    let mut unrepeated = p0.clone();
    unrepeated.steps.truncate(first);
    let sequence = |mut p0: Column| {
        p0.raise("done");
        let (p1, outcome) = after("done", 1, Access::Read, Page::X, Goes::Through);
        Sequence {
            memory: vec![format!("pte_x={}", Page::X.writable())],
            columns: vec![p0, p1],
            outcome,
            // Why the second operation has to be there at all is the erratum's secret.
            unseen: &[
                "P0 3 without TLBI VALE1IS",
                "P0 3 TLBI VALE1 for TLBI VALE1IS",
            ],
        }
    };
    let unrepeated = Twin {
        name: "without-the-repeat".into(),
        what: "the second TLBI and its DSB left out".into(),
        sequence: sequence(unrepeated),
    };
    Ok(Written {
        sequence: sequence(p0),
        twins: vec![(unrepeated, Verdict::Sometimes)],
    })
}

/// CPUs 0 and 2 are sound, so nothing is repeated unless CPU 1 is seen.
const LATE: Kind = Kind {
    prepare: || {
        let machine = Machine::with_cpus(&[2, 0]);
        let (space, asid) = machine.space(&[0]);
        Meeting {
            machine,
            space,
            asid,
        }
    },
    join: |Meeting { machine, .. }| {
        machine.engine.arch().instructions().identify_as(AFFECTED);
        machine.on(1).cpu_online().expect("as good as the others");
        machine.on(0);
    },
    flush: |Meeting { machine, .. }| {
        let page = PageRange::page(Page::KERNEL.start(), SIZE);
        let flushed = machine.on(0).flush_kernel_range(page);
        flushed.expect("nobody is waited for");
        machine.on(1);
    },
    is_noticed: is_repeated,
};

fn is_repeated(executed: &[Executed]) -> bool {
    let operations = executed.iter().filter(|(name, _)| name.starts_with("tlbi"));
    operations.count() > 1
}

fn joins() -> Result<Written> {
    let (flushing, joining) = (LATE.flushing()?, LATE.joining()?);
    let (read, published) = (flushing.place, joining.place);
    let twin = |name: &str, what: &str, sequence| {
        let (name, what) = (name.into(), what.into());
        let twin = Twin {
            name,
            what,
            sequence,
        };
        (twin, Verdict::Sometimes)
    };
    let early = late_cpu(&flushing, &joining, 0, published)?;
    let late = late_cpu(&flushing, &joining, read, joining.len())?;
    Ok(Written {
        sequence: late_cpu(&flushing, &joining, read, published)?,
        twins: vec![
            twin(
                "errata-read-first",
                "P0 reads the errata before its first barrier",
                early,
            ),
            twin(
                "erratum-published-at-last",
                "P1 publishes its erratum behind its barriers",
                late,
            ),
        ],
    })
}

/// P0 reads the errata after so many of its instructions, P1 publishes its own after so many.
fn late_cpu(flushing: &Half, joining: &Half, read: usize, published: usize) -> Result<Sequence> {
    let places = [Page::KERNEL.of_kernel()];
    let mut p0 = Column::default();
    p0.store_entry(Page::KERNEL, &Page::KERNEL.invalid());
    let found = flushing.write(&mut p0, &places, read, |p0| p0.look("erratum"))?;
    let broadcast = find(&p0, "TLBI VAALE1IS", 0)?;
    if let Step::Emitted(instruction, _) = &mut p0.steps[broadcast] {
        instruction.name = "TLBI VAALE1".into();
    }
    p0.raise("done");
    let mut p1 = Column::default();
    joining.write(&mut p1, &places, published, |p1| p1.raise("erratum"))?;
    let stale = goes_on(
        &mut p1,
        "done",
        1,
        Access::Read,
        Page::KERNEL,
        Goes::Through,
    );
    Ok(Sequence {
        memory: vec![format!("pte_x={}", Page::KERNEL.writable())],
        columns: vec![p0, p1],
        outcome: format!("0:X{found}=0 /\\ {stale}"),
        // On either side two barriers lie between the accesses, and each alone will do.
        unseen: &[
            "P0 without DSB ISHST",
            "P0 DMB ISHST for DSB ISHST",
            "P0 without DSB ISH",
            "P0 DSB ISHST for DSB ISH",
            "P0 DMB ISH for DSB ISH",
            "P1 without DSB ISH",
            "P1 DSB ISHST for DSB ISH",
            "P1 DMB ISH for DSB ISH",
            "P1 without DSB ISHST",
            "P1 DMB ISHST for DSB ISHST",
            // P0's own entries are not asked about.
            "P0 without TLBI VAALE1",
            "P0 without ISB",
        ],
    })
}
