//! Rights that are widened: in place where the nest MMU follows, by way of an invalid entry where it does not.

use crate::linked::{BASE, Linked, Shared, kinds, small};
use crate::random_kernel::Machine as _;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::DeviceFault;
use tlb_shootdown_model::oracle::Violation;

/// A device has cached a page read-only.
fn cached(linked: &Linked) -> (Shared, u64) {
    let shared = linked.share(3);
    let frame = linked.map(&shared, BASE, PageSize::KIB_4, Rights::ReadOnly);
    shared.device.read(BASE).unwrap();
    assert_eq!(shared.device.write(BASE, 1), Err(DeviceFault::Permission));
    (shared, frame)
}

#[test]
fn promise_09_a_device_writes_what_was_made_writable() {
    for (features, options) in kinds() {
        let linked = Linked::new(features, options, Temper::Late);
        let (shared, frame) = cached(&linked);
        let tables = &shared.process.tables;
        let mut steps = Vec::new();
        let store = |step| {
            steps.push(step);
            match step {
                UpgradeStep::Invalidate => {
                    tables.unmap(0, BASE);
                }
                UpgradeStep::Widen => {
                    // Whatever had to be flushed has been.
                    linked.returned(&shared, BASE, BASE | 0xfff);
                    tables.map(0, BASE, Mapping::page(frame, Rights::ReadWrite));
                }
            }
        };
        let engine = &linked.rig.engine;
        engine
            .upgrade(shared.process.space, small(BASE), store)
            .unwrap();
        linked.rig.publish();
        linked.returned(&shared, BASE, BASE | 0xfff);
        assert_eq!(shared.device.write(BASE, 7), Ok(()), "{options:?}");
        assert_eq!(linked.rig.model.peek(frame), 7);
        let in_two = steps == [UpgradeStep::Invalidate, UpgradeStep::Widen];
        assert_eq!(in_two, options.believes_its_rights);
        linked.assert_clean();
    }
}

/// The negative control of the rule: in place, a POWER9's nest MMU never sees it.
#[test]
fn promise_09_widening_in_place_is_noticed_on_power9() {
    for (features, options) in kinds() {
        let linked = Linked::new(features, options, Temper::Late);
        let (shared, _) = cached(&linked);
        shared.process.tables.protect(0, BASE, Rights::ReadWrite);
        let (iommu, va) = (0, BASE);
        let widened = Violation::WidenedInPlace { iommu, va };
        let noticed = linked.rig.model.violations().contains(&widened);
        assert_eq!(noticed, options.believes_its_rights);
    }
}

/// Where it follows by itself, and where nobody tells it: that is what the notice is for.
#[test]
fn promise_09_an_upgrade_left_out_faults_where_the_nest_mmu_believes_what_it_holds() {
    for (features, options) in kinds() {
        let linked = Linked::new(features, options, Temper::Late);
        let (shared, _) = cached(&linked);
        shared.process.tables.protect(0, BASE, Rights::ReadWrite);
        linked.rig.publish();
        for _ in 0..3 {
            let refused = shared.device.write(BASE, 1).is_err();
            assert_eq!(refused, options.believes_its_rights, "{options:?}");
        }
    }
}
