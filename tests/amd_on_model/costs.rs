//! One doorbell and one wait for each shootdown without device TLBs, two of each with them, however many devices there are.

use crate::rig::{BASE, KINDS, Kind, PASID, Rig, context};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown_model::Temper;

/// Commands, waits and doorbells of one page's flush, as the driver says and as the machine counted, for a space on so many devices.
fn counted(kind: Kind, devices: u16) -> (u32, u32, u32) {
    let rig = Rig::new(Temper::Late);
    let tables = match kind.pasid {
        Some(_) => rig.model.x86_tables(),
        None => rig.model.amd_host_tables(),
    };
    let space = rig.engine.new_space();
    let contexts: Vec<_> = (1..=devices).map(|device| context(device, kind)).collect();
    for device in 1..=devices {
        rig.add_device(device, kind);
    }
    let _attached = rig.attach(&space, &tables, &contexts).unwrap();
    rig.model.take_counts();
    let page = VirtAddr::new(BASE);
    let cost = rig
        .engine
        .flush_page(&space, page, PageSize::KIB_4)
        .unwrap();
    let counts = rig.model.take_counts();
    let said = (cost.commands, cost.syncs, cost.doorbells);
    assert_eq!(said, (counts.commands, counts.syncs, counts.doorbells));
    rig.assert_clean(kind);
    said
}

#[test]
fn promise_11_one_wait_without_device_tlbs_and_two_with_them() {
    let expected = [(1, 1, 1), (2, 2, 2), (1, 1, 1), (2, 2, 2)];
    for (kind, expected) in KINDS.into_iter().zip(expected) {
        assert_eq!(counted(kind, 1), expected, "{kind:?}");
    }
}

#[test]
fn promise_11_waits_and_doorbells_do_not_grow_with_devices() {
    let expected = [(5, 1, 1), (10, 2, 2), (1, 1, 1), (6, 2, 2)];
    for (kind, expected) in KINDS.into_iter().zip(expected) {
        assert_eq!(counted(kind, 5), expected, "{kind:?}");
    }
}

#[test]
fn promise_11_a_pasid_costs_the_same_however_wide() {
    let wide = Kind {
        pasid: Some(0x1_0000 | PASID),
        ats: true,
    };
    assert_eq!(counted(wide, 1), (2, 2, 2));
}
