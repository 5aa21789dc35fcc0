//! Illegal commands, aborted fetches, and the event log.

use crate::rig::{
    CONTROL, DEVICE, DEVICE_PAGE, EVENT_LOG_RUN, HOST_PAGE, PAGE, PASID_ALL, PASID_PAGE, Rig,
    STATUS, eventually, get, put,
};
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault, DeviceOptions};

const EVERYTHING: AmdOptions = AmdOptions {
    gt: true,
    ppr: true,
    ia: true,
    iotlb: true,
    iotlb_types: true,
    giov: true,
    guest_levels: 5,
    gcr3_levels: 3,
    pasid_bits: 20,
    snp: false,
    event_tail_first: false,
    caches_absent_roots: true,
    iotlb_timeout: 8,
};

#[test]
fn illegal_commands_stop_the_buffer_at_themselves() {
    let default = AmdOptions::default();
    let bare = AmdOptions {
        gt: false,
        ppr: false,
        ia: false,
        iotlb: false,
        ..default
    };
    let mut cases = vec![
        ("opcode 0", default, (0, 0)),
        ("opcode 9", default, (9 << 60, 0)),
        ("prefetch, which is not there", default, (6 << 60, 0)),
        ("IOMMU_ALL, not there", bare, (8 << 60, 0)),
        ("COMPLETE_PPR, not there", bare, (7 << 60, 0)),
        ("IOTLB_PAGES, not there", bare, (4 << 60, PAGE)),
        ("GN without GT", bare, (3 << 60, PAGE | 4)),
        ("a PASID without GT", bare, (3 << 60 | 1, PAGE)),
        (
            "a type without types",
            default,
            (DEVICE_PAGE.0, PAGE | 4 | 1 << 4),
        ),
        (
            "PDE of a device TLB",
            default,
            (DEVICE_PAGE.0, PAGE | 4 | 2),
        ),
    ];
    // Each reserved bit by itself: the opcode, then the bits of the two words that are reserved.
    let reserved: [(&str, u64, u64, u64); 7] = [
        ("COMPLETION_WAIT", 1, 0x0ff0_0000_0000_0000, 0),
        ("DEVTAB_ENTRY", 2, 0x0fff_ffff_ffff_0000, u64::MAX),
        ("IOMMU_PAGES", 3, 0x0fff_0000_fff0_0000, 0xff8),
        ("IOTLB_PAGES", 4, 0, 0xfca),
        ("INTERRUPT_TABLE", 5, 0x0fff_ffff_ffff_0000, u64::MAX),
        (
            "COMPLETE_PPR",
            7,
            0x0ff0_0000_ffff_0000,
            0xffff_0000_ffff_fffb,
        ),
        ("IOMMU_ALL", 8, 0x0fff_ffff_ffff_ffff, u64::MAX),
    ];
    for (name, opcode, first, second) in reserved {
        for bit in (0..64).map(|bit| 1_u64 << bit) {
            if first & bit != 0 {
                cases.push((name, EVERYTHING, (opcode << 60 | bit, 0)));
            }
            if second & bit != 0 {
                cases.push((name, EVERYTHING, (opcode << 60, bit)));
            }
        }
    }
    for (name, options, command) in cases {
        let mut rig = Rig::new(options, DeviceOptions::default());
        let (before, after) = (rig.wait(), rig.wait());
        rig.run(&[before, command, after]);
        assert!(!rig.runs(), "{name} {command:x?}");
        assert_eq!(rig.head(), 0x10, "{name}: at the entry");
        assert_eq!(rig.stored(), 1, "{name}: what was fetched is done");
        let event = (0x5000_0000_0000_0000, rig.slot(1));
        assert_eq!(rig.logged(), [event], "{name}");
    }
}

#[test]
fn every_bit_that_is_not_reserved_is_taken() {
    let used: [(u64, u64, u64); 7] = [
        (1, 0x000f_ffff_ffff_fffe, u64::MAX),
        (2, 0xffff, 0),
        (3, 0x0000_ffff_000f_ffff, !0xff8),
        (4, 0x0fff_ffff_ffff_ffff, !0xfca),
        (5, 0xffff, 0),
        (7, 0x000f_ffff_0000_ffff, 0x0000_ffff_0000_0004),
        (8, 0, 0),
    ];
    for (opcode, first, second) in used {
        let mut rig = Rig::new(EVERYTHING, DeviceOptions::default());
        let wait = rig.wait();
        rig.run(&[(opcode << 60 | first, second), wait]);
        assert_eq!((rig.stored(), rig.logged()), (1, vec![]), "opcode {opcode}");
    }
}

#[test]
fn a_halted_buffer_starts_on_the_edge_of_its_enable_alone() {
    let mut rig = Rig::plain();
    rig.upgraded();
    let wait = rig.wait();
    rig.run(&[(0, 0), PASID_PAGE, wait]);
    assert!(!rig.runs());
    // Written again, rung again, enabled again without having been disabled.
    put(&rig.commands, 0, HOST_PAGE.0);
    put(&rig.commands, 1, HOST_PAGE.1);
    rig.ring(&[]);
    rig.iommu.write64(0x18, CONTROL);
    rig.iommu.settle();
    assert!(!rig.runs());
    assert_eq!((rig.head(), rig.stored()), (0, 0));
    rig.restart();
    assert!(rig.runs());
    assert_eq!((rig.head(), rig.stored()), (0x30, 1));
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_restart_without_a_repair_stops_at_the_same_command() {
    let mut rig = Rig::plain();
    rig.run(&[HOST_PAGE, (0, 0), HOST_PAGE]);
    rig.restart();
    assert!(!rig.runs());
    assert_eq!(rig.head(), 0x10);
    assert_eq!(rig.logged().len(), 2);
    // The head may be moved past it meanwhile.
    rig.iommu.write64(0x2000, 0x20);
    rig.restart();
    assert_eq!(rig.head(), 0x30);
    assert_eq!(rig.model.violations(), []);
}

#[test]
fn a_spoiled_command_is_somebody_elses_too() {
    let mut rig = Rig::plain();
    rig.upgraded();
    let (first, second) = (rig.wait(), rig.wait());
    rig.iommu.spoil_next(3, [0, 1 << 3]);
    rig.run(&[first, PASID_PAGE, HOST_PAGE, second]);
    assert_eq!((rig.head(), rig.stored()), (0x10, 1));
    assert_eq!(rig.logged(), [(0x5000_0000_0000_0000, rig.slot(1))]);
    // Written once more as it was.
    assert_eq!(get(&rig.commands, 3), PASID_PAGE.1 | 1 << 3);
    put(&rig.commands, 3, PASID_PAGE.1);
    rig.barriers.before_doorbell();
    rig.restart();
    assert_eq!(rig.stored(), 2);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    assert_eq!(rig.host_device.write(PAGE, 1), Ok(()));
}

#[test]
fn an_aborted_fetch_stops_the_buffer_and_is_tried_again() {
    let mut rig = Rig::plain();
    rig.iommu.abort_next_fetch();
    let wait = rig.wait();
    rig.run(&[wait]);
    assert!(!rig.runs());
    // Type 1, master abort.
    assert_eq!(rig.logged(), [(0x6200_0000_0000_0000, rig.slot(0))]);
    rig.restart();
    assert_eq!(rig.stored(), 1);
}

#[test]
fn a_full_log_loses_events_until_it_is_enabled_again() {
    let rig = Rig::plain();
    for n in 0..300 {
        let va = PAGE + 0x1000 + n * 0x1000;
        assert_eq!(rig.device.read(va), Err(DeviceFault::NotPresent));
    }
    // 255 of 256, one slot stays free.
    assert_eq!(rig.logged().len(), 255);
    let (overflow, int) = (1, 2);
    assert_eq!(
        rig.iommu.read64(STATUS) & (overflow | int | EVENT_LOG_RUN),
        overflow | int
    );
    // Read by software and acknowledged, which is not enough.
    rig.iommu.write64(0x2010, 255 * 16);
    rig.iommu.write64(STATUS, overflow | int);
    let _ = rig.device.read(PAGE + 0x1000);
    assert_eq!(rig.iommu.read64(0x2018), 255 * 16);
    rig.iommu.write64(0x18, CONTROL & !(1 << 2));
    rig.iommu.write64(0x18, CONTROL);
    rig.iommu.settle();
    assert_eq!(rig.iommu.read64(STATUS) & EVENT_LOG_RUN, EVENT_LOG_RUN);
    let _ = rig.device.read(PAGE + 0x1000);
    // Wrapped.
    assert_eq!(rig.iommu.read64(0x2018), 0);
}

#[test]
fn without_the_log_the_buffer_halts_without_a_word() {
    let mut rig = Rig::plain();
    rig.iommu.write64(0x18, CONTROL & !(1 << 2));
    rig.iommu.settle();
    rig.run(&[(0, 0)]);
    assert!(!rig.runs());
    assert_eq!(rig.logged(), []);
}

#[test]
fn with_erratum_732_the_tail_moves_before_the_entry_is_there() {
    let options = AmdOptions {
        event_tail_first: true,
        ..AmdOptions::default()
    };
    let rig = Rig::new(options, DeviceOptions::default());
    assert_eq!(rig.device.read(PAGE + 0x1000), Err(DeviceFault::NotPresent));
    assert_eq!(rig.logged(), [(0, 0)]);
    rig.iommu.settle();
    let word = 0x2001_2345_0001_0000 | u64::from(DEVICE);
    assert_eq!(rig.logged(), [(word, PAGE + 0x1000)]);
}

#[test]
fn what_was_fetched_is_forgotten_when_the_buffer_is_switched_off() {
    let mut rig = Rig::plain();
    rig.upgraded();
    rig.ring(&[PASID_ALL]);
    rig.iommu.step();
    assert_eq!(rig.head(), 0x10);
    rig.restart();
    assert_eq!(rig.head(), 0x10);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
}

#[test]
fn a_fetched_command_is_done_although_the_buffer_has_stopped_since() {
    let mut rig = Rig::plain();
    rig.upgraded();
    rig.ring(&[PASID_ALL, (0, 0)]);
    eventually(|| !rig.runs());
    rig.iommu.settle();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}
