//! The defects of POWER9's `tlbie`: what the library does about them is enough, and what it does is needed.

use crate::faulty::Defect;
use crate::random_kernel::Machine as _;
use crate::rig::{Parts, Rig};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, Role};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::{Holder, Violation};

const PAGE: u64 = 0x4000_0000;

/// The other CPU uses the page after the flush.
const HELD: Violation = Violation::HeldStale {
    holder: Holder::Cpu(1),
    va: PAGE,
};

/// Two CPUs use a page, one of them with a store that is still queued; it is unmapped, flushed and freed. What the machine objects to.
fn objections(features: CpuFeatures, defect: Defect, flush: Flush) -> Vec<Violation> {
    let parts = Parts {
        defect,
        ..Parts::new(features, Temper::Late)
    };
    let rig = Rig::new(parts);
    let process = rig.process();
    let frame = rig.model.allocate(0x1000);
    let tables = &process.tables;
    tables.map(0, PAGE, Mapping::page(frame, Rights::ReadWrite));
    rig.publish();
    for cpu in [0, 1] {
        rig.switch(cpu, &process);
        rig.cpu(cpu).read(PAGE).unwrap();
    }
    rig.cpu(1).write_later(PAGE, 7).unwrap();
    tables.unmap(0, PAGE);
    rig.engine.flush(process.space, flush).unwrap();
    rig.model.returned(tables.root(), 0, u64::MAX);
    rig.model.violations()
}

fn page() -> Flush {
    Flush::page(VirtAddr::new(PAGE), PageSize::KIB_4)
}

/// Page by page, and as all of the process.
fn flushes() -> [Flush; 3] {
    let many = PageRange::from_len(VirtAddr::new(PAGE), 100 << 12, PageSize::KIB_4);
    let many = Flush::pages(many.unwrap());
    [page(), many.leaf_only(), Flush::all()]
}

#[test]
fn promise_03_power9_is_clean_whatever_is_wrong_with_it() {
    for role in [Role::Hypervisor, Role::Guest] {
        for flush in flushes() {
            let objections = objections(CpuFeatures::POWER9.as_a(role), Defect::None, flush);
            assert_eq!(objections, []);
        }
    }
}

#[test]
fn promise_03_erat_repair_left_out_is_noticed() {
    for flush in flushes() {
        let objections = objections(CpuFeatures::POWER9, Defect::NoEratRepair, flush);
        assert!(objections.contains(&HELD), "{flush:?}");
    }
}

#[test]
fn promise_03_queue_repair_left_out_is_noticed() {
    for flush in flushes() {
        let objections = objections(CpuFeatures::POWER9, Defect::NoQueueRepair, flush);
        // The queued store.
        assert_eq!(objections, [HELD], "{flush:?}");
    }
}

/// Where nothing is wrong nothing is repaired.
#[test]
fn promise_11_power10_repairs_nothing() {
    for defect in [Defect::NoEratRepair, Defect::NoQueueRepair] {
        for flush in flushes() {
            assert_eq!(objections(CpuFeatures::POWER10, defect, flush), []);
        }
    }
}
