//! Fetching, completion, order, and the ends of the command buffer.

use crate::rig::{
    CMD_BUF_RUN, CONTROL, HOST_PAGE, PAGE, PASID_ALL, PASID_PAGE, Rig, STATUS, eventually, get, put,
};
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault, DeviceOptions};
use tlb_shootdown_model::oracle::{Counts, Violation};

const DENIED: Result<(), DeviceFault> = Err(DeviceFault::Permission);

#[test]
fn nothing_is_done_inside_the_doorbell_write() {
    let mut rig = Rig::plain();
    rig.upgraded();
    let wait = rig.wait();
    rig.ring(&[PASID_PAGE, wait]);
    assert_eq!(rig.stored(), 0);
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
}

#[test]
fn a_head_that_has_moved_says_nothing() {
    let mut rig = Rig::plain();
    rig.upgraded();
    let wait = rig.wait();
    rig.ring(&[PASID_PAGE, wait]);
    rig.iommu.step();
    rig.iommu.step();
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
    assert_eq!((rig.head(), rig.stored()), (0x20, 0));
    eventually(|| {
        rig.model.step();
        rig.stored() != 0
    });
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_wait_stores_after_everything_before_it() {
    let mut rig = Rig::plain();
    let mut commands = vec![(0x2000_0000_0000_0001, 0); 10];
    commands.push(PASID_PAGE);
    commands.push(rig.wait());
    rig.upgraded();
    rig.ring(&commands);
    eventually(|| {
        let before = rig.device.write(PAGE, 1).is_err();
        rig.iommu.step();
        // Whoever sees the number sees the invalidation.
        assert!(rig.stored() == 0 || !before || rig.device.write(PAGE, 1).is_ok());
        rig.stored() != 0
    });
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_missing_wait_completes_nothing() {
    let mut rig = Rig::plain();
    rig.upgraded();
    rig.ring(&[PASID_PAGE]);
    for _ in 0..100 {
        rig.model.step();
    }
    assert_eq!(rig.head(), 0x10);
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
}

#[test]
fn no_more_than_16_commands_are_under_way() {
    for (before, expected) in [(14, DENIED), (15, Ok(()))] {
        let mut rig = Rig::plain();
        rig.upgraded();
        let mut commands = vec![(0x2000_0000_0000_0001, 0); before];
        commands.extend([PASID_PAGE, (0x2000_0000_0000_0001, 0)]);
        rig.ring(&commands);
        for _ in 0..100 {
            rig.model.step();
        }
        // Of 16 the last is done first; 15 and one more leave it alone.
        assert_eq!(rig.device.write(PAGE, 1), expected, "{before}");
    }
}

#[test]
fn waits_store_in_their_order() {
    let mut rig = Rig::plain();
    let waits: Vec<_> = (0..8).map(|_| rig.wait()).collect();
    rig.ring(&waits);
    let mut last = 0;
    eventually(|| {
        rig.iommu.step();
        assert!(rig.stored() == last || rig.stored() == last + 1);
        last = rig.stored();
        last == 8
    });
}

#[test]
fn a_wait_may_raise_the_status_bit_which_writing_1_clears() {
    let mut rig = Rig::plain();
    // I without S: the address does not matter.
    rig.run(&[(1 << 60 | 0xdead_b000 | 2, 7)]);
    assert_eq!(rig.iommu.read64(STATUS) & 0b100, 0b100);
    rig.iommu.write32(STATUS + 4, u32::MAX);
    rig.iommu.write64(STATUS, 0b011);
    assert_eq!(rig.iommu.read64(STATUS) & 0b100, 0b100);
    rig.iommu.write32(STATUS, 0b100);
    assert_eq!(rig.iommu.read64(STATUS), 0b1_1000);
}

#[test]
fn entries_are_not_seen_before_the_barrier() {
    let rig = Rig::plain();
    put(&rig.commands, 0, PASID_PAGE.0);
    put(&rig.commands, 1, PASID_PAGE.1);
    rig.iommu.write32(0x2008, 0x10);
    rig.iommu.settle();
    // The device read what was there before: zeroes, which is no command.
    assert!(!rig.runs());
    assert_eq!(rig.head(), 0);
}

#[test]
fn the_buffer_wraps_and_an_overrun_is_seen() {
    let mut rig = Rig::plain();
    for n in 1..=30 {
        let mut batch = vec![HOST_PAGE; 19];
        batch.push(rig.wait());
        rig.run(&batch);
        assert_eq!(rig.stored(), n);
    }
    // 600 entries in a buffer of 256.
    assert_eq!(rig.head(), 88 * 16);
    assert_eq!(rig.model.violations(), []);
    // 255 fit, one slot stays free.
    rig.ring(&[HOST_PAGE; 255]);
    assert_eq!(rig.model.violations(), []);
    rig.ring(&[HOST_PAGE; 1]);
    assert_eq!(
        rig.model.violations(),
        [Violation::QueueOverrun { iommu: 0 }]
    );
}

#[test]
fn a_tail_beyond_the_buffer_is_seen() {
    let rig = Rig::plain();
    rig.iommu.write32(0x2008, 0x1000);
    assert_eq!(
        rig.model.violations(),
        [Violation::QueueOverrun { iommu: 0 }]
    );
}

#[test]
fn reserved_length_codes_never_run() {
    for code in 0..16_u64 {
        let rig = Rig::plain();
        rig.iommu.write64(0x18, CONTROL & !(1 << 12));
        eventually(|| !rig.runs());
        rig.iommu
            .write64(0x08, rig.commands.phys().raw() | code << 56);
        rig.iommu.write64(0x18, CONTROL);
        rig.iommu.settle();
        assert_eq!(rig.runs(), code >= 8, "{code}");
    }
}

#[test]
fn the_enable_bit_alone_does_not_run_the_buffer() {
    let rig = Rig::plain();
    // CmdBufEn without IommuEn.
    rig.iommu.write64(0x18, 1 << 12);
    rig.iommu.settle();
    assert_eq!(rig.iommu.read64(STATUS) & CMD_BUF_RUN, 0);
}

#[test]
fn writing_the_base_resets_head_and_tail() {
    let mut rig = Rig::plain();
    rig.run(&[HOST_PAGE; 3]);
    assert_eq!(rig.head(), 0x30);
    rig.iommu.write64(0x18, 0);
    eventually(|| !rig.runs());
    rig.iommu.write64(0x08, rig.commands.phys().raw() | 8 << 56);
    assert_eq!((rig.head(), rig.iommu.read64(0x2008)), (0, 0));
}

#[test]
fn under_snp_a_store_outside_the_completion_range_vanishes() {
    let options = AmdOptions {
        snp: true,
        ..AmdOptions::default()
    };
    let mut rig = Rig::new(options, DeviceOptions::default());
    let wait = rig.wait();
    rig.run(&[wait]);
    assert_eq!(rig.stored(), 1);
    let elsewhere = rig.model.share(0x1000, 0x1000);
    rig.run(&[(1 << 60 | elsewhere.phys().raw() | 1, 5)]);
    assert_eq!(get(&elsewhere, 0), 0);
    assert!(rig.runs());
    // Without SNP the same registers are an exclusion range, and the store arrives.
    let mut rig = Rig::plain();
    let elsewhere = rig.model.share(0x1000, 0x1000);
    rig.run(&[(1 << 60 | elsewhere.phys().raw() | 1, 5)]);
    assert_eq!(get(&elsewhere, 0), 5);
}

#[test]
fn what_it_was_asked_is_counted() {
    let mut rig = Rig::plain();
    rig.model.take_counts();
    let (first, second) = (rig.wait(), rig.wait());
    rig.run(&[PASID_ALL, HOST_PAGE, first]);
    rig.run(&[HOST_PAGE, second]);
    let Counts {
        commands,
        syncs,
        doorbells,
        ..
    } = rig.model.take_counts();
    assert_eq!((commands, syncs, doorbells), (3, 2, 2));
}

#[test]
fn a_frozen_buffer_stores_nothing() {
    let mut rig = Rig::plain();
    rig.iommu.freeze(true);
    let wait = rig.wait();
    rig.run(&[wait]);
    assert_eq!((rig.head(), rig.stored()), (0, 0));
    rig.iommu.freeze(false);
    rig.iommu.settle();
    assert_eq!((rig.head(), rig.stored()), (0x10, 1));
    rig.barriers.publish_tables();
}
