//! Dirty flags: what is written through an entry that marks no more.

use crate::{VA, map, x86};
use tlb_shootdown::arch::x86_64::instructions::Instructions as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::cpu::{CpuPort, Fault, powerpc, x86_64};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::memory::radix::CHANGED;
use tlb_shootdown_model::memory::x86_64::{ACCESSED, DIRTY};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::ModelBarriers;

struct Rig {
    model: Model,
    cpu: CpuPort,
    tables: Tables,
    on: x86_64::ModelInstructions,
}

/// A CPU that runs one writable page.
fn rig() -> Rig {
    let model = x86();
    let rig = Rig {
        cpu: model.cpu(0),
        tables: model.x86_tables(),
        on: x86_64::ModelInstructions::new(model.clone()),
        model,
    };
    map(&rig.model, &rig.tables, VA);
    rig.on.mfence();
    rig.cpu.load(rig.tables.root(), 5);
    rig
}

impl Rig {
    /// The kernel clears bits of the entry, visibly.
    fn clear(&self, bits: u64) {
        let raw = self.tables.descriptor(VA);
        self.tables.set_descriptor(0, VA, raw & !bits);
        self.on.mfence();
    }

    fn returned(&self) {
        self.model.returned(self.tables.root(), VA, VA + 0xfff);
    }

    fn is_dirty(&self) -> bool {
        self.tables.descriptor(VA) & DIRTY != 0
    }
}

/// Whoever writes the page out clears D first, and writes behind the copy go unseen without a flush (Intel SDM Vol 3A 4.10.4.2).
#[test]
fn a_write_through_an_entry_that_was_dirty_is_not_marked() {
    let rig = rig();
    rig.cpu.write(VA, 1).unwrap();
    rig.clear(DIRTY);
    rig.cpu.write(VA, 2).unwrap();
    assert!(!rig.is_dirty());
    assert_eq!(rig.model.violations(), [], "its flush has not returned");
    rig.returned();
    let holder = Holder::Cpu(0);
    let held = Violation::HeldStale { holder, va: VA };
    assert_eq!(rig.model.violations(), [held]);
    rig.cpu.write(VA, 3).unwrap();
    let used = Violation::UsedStale { holder, va: VA };
    assert_eq!(rig.model.violations(), [used, held]);
}

#[test]
fn after_the_flush_the_next_write_is_marked() {
    let rig = rig();
    rig.cpu.write(VA, 1).unwrap();
    rig.clear(DIRTY);
    rig.on.invlpg(VA);
    rig.returned();
    rig.cpu.read(VA).unwrap();
    assert!(!rig.is_dirty());
    rig.cpu.write(VA, 2).unwrap();
    assert!(rig.is_dirty());
    assert_eq!(rig.model.violations(), []);
}

/// An entry that was cached clean marks, and walks anew where the table has changed meanwhile (Intel SDM Vol 3A 4.8).
#[test]
fn a_clean_entry_does_not_write_where_the_page_is_gone() {
    let rig = rig();
    rig.clear(DIRTY);
    rig.on.invlpg(VA);
    rig.returned();
    rig.cpu.read(VA).unwrap();
    rig.tables.unmap(0, VA);
    rig.on.mfence();
    assert_eq!(rig.cpu.read(VA), Ok(0), "nobody has flushed");
    assert_eq!(rig.cpu.write(VA, 1), Err(Fault::Translation));
}

/// Who clears A alone mistakes the age of a page, and loses nothing.
#[test]
fn the_accessed_flag_is_not_judged() {
    let rig = rig();
    rig.cpu.read(VA).unwrap();
    rig.clear(ACCESSED);
    rig.returned();
    rig.cpu.write(VA, 1).unwrap();
    assert_eq!(rig.model.violations(), []);
}

/// A clean page of POWER interrupts at the first store (Power ISA 3.1B Book III 6.7.10: C is set by hardware, or by the interrupt's handler).
#[test]
fn a_clean_page_of_power_interrupts() {
    let features = powerpc::CpuFeatures::POWER10;
    let model = Model::with_power_cpus(&[features], tlb_shootdown_model::Temper::Late);
    let tables = model.radix_tables();
    map(&model, &tables, VA);
    let raw = u64::from_be(tables.descriptor(VA)) & !CHANGED;
    tables.set_descriptor(0, VA, raw.to_be());
    tlb_shootdown::dma::DmaBarriers::publish_tables(&ModelBarriers::new(model.clone()));
    let cpu = model.cpu(0);
    cpu.load(tables.root(), 5);
    assert_eq!(cpu.read(VA), Ok(0));
    assert_eq!(cpu.write(VA, 1), Err(Fault::Permission));
}
