//! The TLBs inside devices: order against the IOMMU's own, reach, and devices that do not answer.

use crate::rig::{CONTROL, DEVICE, DEVICE_ENTRY, DEVICE_PAGE, PAGE, PASID, PASID_PAGE, Rig};
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown_model::amd::{AmdOptions, DeviceFault, DeviceOptions};
use tlb_shootdown_model::oracle::{Holder, Violation};

const DENIED: Result<(), DeviceFault> = Err(DeviceFault::Permission);

#[test]
fn a_device_tlb_is_not_reached_by_the_iommus_own_invalidation() {
    let mut rig = Rig::with_ats();
    rig.upgraded();
    rig.run(&[PASID_PAGE]);
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
    rig.run(&[DEVICE_PAGE]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_device_refills_from_the_iommu_unless_that_was_complete() {
    let mut rig = Rig::with_ats();
    rig.upgraded();
    // One batch, with a wait between that holds nothing back.
    let (first, second) = (rig.wait(), rig.wait());
    rig.run(&[PASID_PAGE, first, DEVICE_PAGE, second]);
    assert_eq!(rig.stored(), 2);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
    let holder = Holder::Device(DEVICE.into());
    let violations = rig.model.violations();
    assert!(violations.contains(&Violation::UsedStale { holder, va: PAGE }));
    // The second goes out once the first is complete.
    let (first, second) = (rig.wait(), rig.wait());
    rig.run(&[PASID_PAGE, first]);
    rig.run(&[DEVICE_PAGE, second]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_wait_with_its_flush_bit_holds_back_what_follows() {
    let mut rig = Rig::with_ats();
    rig.upgraded();
    let (first, second) = (rig.wait(), rig.wait());
    rig.run(&[PASID_PAGE, (first.0 | 1 << 2, first.1), DEVICE_PAGE, second]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_restless_device_fills_what_was_just_emptied() {
    let restless = DeviceOptions {
        restless: true,
        ..DeviceOptions::default()
    };
    let mut rig = Rig::new(AmdOptions::default(), restless);
    rig.device.read(PAGE).unwrap();
    // The device table entry is to go, and the translations with it, in one batch: they come back from the old entry.
    let [_, domain] = rig.entry(DEVICE);
    rig.put_entry(DEVICE, [0b11, domain]);
    rig.barriers.publish_tables();
    let held = rig.iommu.held();
    rig.run(&[DEVICE_ENTRY, PASID_PAGE]);
    assert_eq!(rig.iommu.held(), held);
    // One after the other they do not.
    rig.run(&[PASID_PAGE]);
    assert_eq!(rig.iommu.held(), 0);
    assert_eq!(rig.logged(), []);
}

#[test]
fn a_device_heeds_its_own_pasid_alone() {
    for (command, expected) in [
        (DEVICE_PAGE, Ok(())),
        // Everything of the PASID.
        ((0x4145_0028_2023_0028, 0x7fff_ffff_ffff_f005), Ok(())),
        // PASID[19:16] left out, PASID[15:8] left out, PASID[7:0] left out.
        ((0x4045_0028_2023_0028, PAGE | 4), DENIED),
        ((0x4145_0028_2000_0028, PAGE | 4), DENIED),
        ((0x4100_0028_2023_0028, PAGE | 4), DENIED),
        // GN clear: what was cached without a PASID.
        ((0x4000_0028_2000_0028, 0x7fff_ffff_ffff_f001), DENIED),
        // Another device.
        ((0x4145_0030_2023_0030, PAGE | 4), DENIED),
        ((0x4145_0099_2023_0099, PAGE | 4), DENIED),
    ] {
        let mut rig = Rig::with_ats();
        rig.upgraded();
        rig.run(&[PASID_PAGE]);
        rig.run(&[command]);
        assert!(rig.runs());
        assert_eq!(rig.device.write(PAGE, 1), expected, "{command:x?}");
    }
}

#[test]
fn a_device_that_knows_fewer_bits_does_not_heed() {
    let few = DeviceOptions {
        ats: true,
        pasid_bits: 16,
        ..DeviceOptions::default()
    };
    let mut rig = Rig::new(AmdOptions::default(), few);
    rig.upgraded();
    rig.run(&[PASID_PAGE]);
    rig.run(&[DEVICE_PAGE]);
    assert!(rig.runs());
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
}

#[test]
fn translation_requests_need_the_entry_to_allow_them() {
    let mut rig = Rig::with_ats();
    let [word, domain] = rig.entry(DEVICE);
    rig.put_entry(DEVICE, [word, domain & !(1 << 32)]);
    rig.barriers.publish_tables();
    rig.run(&[DEVICE_ENTRY]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Event(8)));
    // GN and TR; an answer without a translation, in contrast, is no event.
    assert_eq!(rig.logged(), [(0x8101_2345_0001_0028, PAGE)]);
    rig.put_entry(DEVICE, [word, domain]);
    rig.barriers.publish_tables();
    rig.run(&[DEVICE_ENTRY]);
    assert_eq!(rig.device.read(PAGE + 0x1000), Err(DeviceFault::NotPresent));
    assert_eq!(rig.logged().len(), 1);
}

#[test]
fn what_a_device_holds_helps_it_no_more_once_its_entry_refuses_it() {
    let mut rig = Rig::with_ats();
    rig.device.read(PAGE).unwrap();
    // V and TV, no right, I clear.
    rig.put_entry(DEVICE, [0b11, 0]);
    rig.barriers.publish_tables();
    assert!(rig.device.read(PAGE).is_ok());
    rig.run(&[DEVICE_ENTRY]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Event(8)));
    assert_eq!(rig.device.held(), 1);
    assert_eq!(rig.logged(), [(0x8001_2345_0001_0028, PAGE)]);
}

#[test]
fn a_silent_device_delays_the_wait_is_named_and_invalidates_nothing() {
    let mut rig = Rig::with_ats();
    rig.upgraded();
    rig.run(&[PASID_PAGE]);
    rig.device.set_silent(true);
    let wait = rig.wait();
    rig.ring(&[DEVICE_PAGE, wait]);
    // The number of polls that the device has, and nothing but polls.
    let polls = (0..100).find(|_| {
        rig.iommu.step();
        rig.stored() == 1
    });
    assert!(polls.is_some_and(|polls| polls > rig.iommu.options().iotlb_timeout));
    assert_eq!(rig.logged(), [(0x7000_0000_0000_0028, rig.slot(1))]);
    assert!(rig.runs());
    // The trap: the wait is complete, and the device is stale.
    rig.device.set_silent(false);
    assert_eq!(rig.device.write(PAGE, 1), DENIED);
    assert_eq!(rig.device.held(), 1);
}

#[test]
fn commands_of_others_are_complete_although_a_device_is_silent() {
    let mut rig = Rig::with_ats();
    rig.upgraded();
    rig.device.set_silent(true);
    let (first, second) = (rig.wait(), rig.wait());
    rig.run(&[DEVICE_PAGE, PASID_PAGE, first]);
    rig.run(&[(0x3000_0009_0000_0000, PAGE | 2), second]);
    rig.run(&[(0x4000_0030_2000_0030, PAGE)]);
    assert_eq!(rig.stored(), 2);
    assert_eq!(rig.host_device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_device_that_answers_in_the_end_has_invalidated() {
    let mut rig = Rig::with_ats();
    rig.upgraded();
    rig.run(&[PASID_PAGE]);
    rig.device.set_silent(true);
    let wait = rig.wait();
    rig.ring(&[DEVICE_PAGE, wait]);
    for _ in 0..6 {
        rig.iommu.step();
    }
    rig.device.set_silent(false);
    rig.iommu.settle();
    assert_eq!(rig.stored(), 1);
    assert_eq!(rig.logged(), []);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn without_inv_time_out_a_silent_device_stops_the_wait_for_ever() {
    let mut rig = Rig::with_ats();
    rig.iommu.write64(0x18, CONTROL & !(0b111 << 5));
    rig.device.read(PAGE).unwrap();
    rig.device.set_silent(true);
    let wait = rig.wait();
    rig.run(&[DEVICE_PAGE, wait]);
    assert_eq!((rig.stored(), rig.logged()), (0, vec![]));
    rig.device.set_silent(false);
    rig.iommu.settle();
    assert_eq!(rig.stored(), 1);
}

#[test]
fn without_device_tlbs_their_command_is_illegal() {
    let options = AmdOptions {
        iotlb: false,
        ..AmdOptions::default()
    };
    let mut rig = Rig::new(options, DeviceOptions::default());
    rig.run(&[DEVICE_PAGE]);
    assert_eq!(rig.logged(), [(0x5000_0000_0000_0000, rig.slot(0))]);
    assert_eq!(PASID >> 16, 1);
}
