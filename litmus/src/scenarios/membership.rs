//! Promise 2: whoever joins is seen by a flush, or walks what the flush is about.
//!
//! The accesses to the set of members are written as a plain store and a plain load: less than the engine's, which are sequentially
//! consistent, so that what holds here holds by the barriers.

use anyhow::Result;
use tlb_shootdown::address::PageRange;
use tlb_shootdown_model::recorder::aarch64::Executed;

use super::meeting::{Half, Kind, Meeting};
use super::observer::{Access, Goes, goes_on};
use super::{Scenario, Written};
use crate::column::Column;
use crate::machine::Machine;
use crate::page::{Page, Place, SIZE};
use crate::test::Sequence;
use crate::twin::Twin;
use crate::verdict::Verdict;

pub(super) const SWITCHES: Scenario = Scenario::new(
    "switch-to",
    "A CPU that a flush did not find among those that ran the space, and so left out, walks the new entry when switch_to has returned and the root is loaded.",
    switches,
)
.with_empty_tlbs();

pub(super) const FIRST: Scenario = Scenario::new(
    "first-switch-to",
    "A flush that finds a space without an identifier issues nothing, and the CPU that gives it one meanwhile walks the new entry.",
    switches_first,
)
.with_empty_tlbs();

pub(super) const ONLINE: Scenario = Scenario::new(
    "cpu-online",
    "A CPU that a flush of a kernel page did not find online reads no more through the old entry when cpu_online has returned.",
    comes_online,
)
.local();

fn is_broadcast(executed: &[Executed]) -> bool {
    executed
        .iter()
        .any(|(name, _)| name.starts_with("tlbi") && name.ends_with("is"))
}

/// The space has run on CPU 0 alone, so a flush stays there unless CPU 1 is found.
const SWITCH: Kind = Kind {
    prepare: || {
        let machine = Machine::new();
        let (space, asid) = machine.space(&[0]);
        Meeting {
            machine,
            space,
            asid,
        }
    },
    join: |Meeting { machine, space, .. }| {
        machine.on(1).switch_to(space).expect("an ASID is left");
        machine.on(0);
    },
    flush: |Meeting { machine, space, .. }| {
        let flushed = machine.on(0).flush_page(space, Page::X.start(), SIZE);
        flushed.expect("nobody is waited for");
        machine.on(1);
    },
    is_noticed: is_broadcast,
};

/// The space has no identifier yet, so nobody can hold anything, and a flush issues nothing.
const FIRST_SWITCH: Kind = Kind {
    prepare: || {
        let machine = Machine::new();
        let space = machine.engine.new_space();
        let asid = 1;
        Meeting {
            machine,
            space,
            asid,
        }
    },
    ..SWITCH
};

/// Nobody but CPU 0 is online.
const START: Kind = Kind {
    prepare: || {
        let machine = Machine::with_cpus(&[0]);
        let (space, asid) = machine.space(&[0]);
        Meeting {
            machine,
            space,
            asid,
        }
    },
    join: |Meeting { machine, .. }| {
        machine.on(1).cpu_online().expect("alike");
        machine.on(0);
    },
    flush: |Meeting { machine, .. }| {
        let page = PageRange::page(Page::KERNEL.start(), SIZE);
        let flushed = machine.on(0).flush_kernel_range(page);
        flushed.expect("nobody is waited for");
        machine.on(1);
    },
    is_noticed: is_broadcast,
};

/// The two halves, and where their accesses are.
struct Met {
    page: Page,
    places: [Place; 1],
    flushing: Half,
    joining: Half,
    unseen: &'static [&'static str],
}

impl Met {
    /// P0 reads the set after so many of its instructions, P1 enters itself after so many, and synchronises by `after`.
    fn sequence(&self, read: usize, entered: usize, after: &[&str]) -> Result<Sequence> {
        let mut p0 = Column::default();
        p0.store_entry(self.page, &self.page.invalid());
        let look = |p0: &mut Column| p0.look("member");
        let found = self.flushing.write(&mut p0, &self.places, read, look)?;
        p0.raise("done");
        let mut p1 = Column::default();
        let enter = |p1: &mut Column| p1.raise("member");
        self.joining.write(&mut p1, &self.places, entered, enter)?;
        after.iter().for_each(|step| p1.kernels(step));
        let stale = goes_on(&mut p1, "done", 1, Access::Read, self.page, Goes::Through);
        Ok(Sequence {
            memory: vec![format!("pte_x={}", self.page.writable())],
            columns: vec![p0, p1],
            outcome: format!("0:X{found}=0 /\\ {stale}"),
            unseen: self.unseen,
        })
    }

    fn written(&self, after: &[&str]) -> Result<Written> {
        let (read, entered) = (self.flushing.place, self.joining.place);
        let end = self.joining.len();
        let mut twins = vec![
            twin(
                "the-set-read-first",
                "P0 reads the set of members before its first barrier",
                self.sequence(0, entered, after)?,
            ),
            twin(
                "entered-at-last",
                "P1 enters itself behind its barriers",
                self.sequence(read, end, after)?,
            ),
        ];
        if !after.is_empty() {
            twins.push(twin(
                "without-the-kernels-isb",
                "the kernel's ISB left out",
                self.sequence(read, entered, &[])?,
            ));
        }
        Ok(Written {
            sequence: self.sequence(read, entered, after)?,
            twins,
        })
    }
}

fn twin(name: &str, what: &str, sequence: Sequence) -> (Twin, Verdict) {
    let twin = Twin {
        name: name.into(),
        what: what.into(),
        sequence,
    };
    (twin, Verdict::Sometimes)
}

/// The kernel's ISB stands for the loading of the root as well: a CPU that enters a space holds nothing of it, and walks its tables only
/// when it has the root.
fn switches() -> Result<Written> {
    let met = Met {
        page: Page::X,
        places: [Page::X.under((SWITCH.prepare)().asid)],
        flushing: SWITCH.flushing()?,
        joining: SWITCH.joining()?,
        // P0's own entries are not asked about.
        unseen: &["P0 without TLBI VALE1", "P0 without DSB NSH"],
    };
    met.written(&["ISB"])
}

/// What P0 reads is the identifier, and then there is nobody to look for.
fn switches_first() -> Result<Written> {
    let met = Met {
        page: Page::X,
        places: [Page::X.under((FIRST_SWITCH.prepare)().asid)],
        flushing: FIRST_SWITCH.flushing()?,
        joining: FIRST_SWITCH.joining()?,
        unseen: &[],
    };
    met.written(&["ISB"])
}

/// P1 has run the kernel before, and holds what it has read then.
fn comes_online() -> Result<Written> {
    let met = Met {
        page: Page::KERNEL,
        places: [Page::KERNEL.of_kernel()],
        flushing: START.flushing()?,
        joining: START.joining()?,
        unseen: &[
            // P0's own entries are not asked about.
            "P0 without TLBI VAALE1",
            "P0 without DSB NSH",
            "P0 without ISB",
            // For the sake of who reads errata.
            "P1 without DSB ISH",
            "P1 DSB ISHST for DSB ISH",
            "P1 DMB ISH for DSB ISH",
        ],
    };
    met.written(&[])
}
