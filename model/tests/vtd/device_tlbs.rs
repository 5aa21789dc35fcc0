//! Device TLBs: what they hold they believe.

use crate::rig::{CONTEXT_INV, DEVICE_INV, FENCE, PAGE, PAGE_INV, PASID, Rig, SID, ats};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, VtdOptions};

#[test]
fn a_device_keeps_what_it_was_told_until_it_is_told_otherwise() {
    let mut rig = Rig::with_ats();
    rig.upgrade();
    rig.complete(&[PAGE_INV]);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    let used = Violation::UsedStale {
        holder: Holder::Device(SID.into()),
        va: PAGE,
    };
    assert!(rig.model.violations().contains(&used));
    rig.complete(&[DEVICE_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.assert_clean();
}

#[test]
fn forms_that_reach_the_entry_and_forms_that_do_not() {
    for (descriptor, reached) in [
        // 8 KiB, 32 KiB, everything, and every PASID's.
        ((DEVICE_INV.0, 0x40_0800), true),
        ((DEVICE_INV.0, 0x40_3800), true),
        ((DEVICE_INV.0, 0x7fff_ffff_ffff_f800), true),
        ((0x0000_0001_0208_0008, 0x7fff_ffff_ffff_f801), true),
        // Another page, another PASID, another block, and without a PASID.
        ((DEVICE_INV.0, PAGE + 0x1000), false),
        ((0x0000_0124_0208_0008, PAGE), false),
        ((DEVICE_INV.0, 0x40_8800 - 0x1000 * 16), false),
        ((0x0208_0000_0003, 0x7fff_ffff_ffff_f001), false),
    ] {
        let mut rig = Rig::with_ats();
        rig.upgrade();
        rig.complete(&[PAGE_INV, descriptor]);
        assert_eq!(
            rig.device.write(PAGE, 1).is_ok(),
            reached,
            "{descriptor:x?}"
        );
    }
}

#[test]
fn requests_without_a_pasid_have_entries_of_their_own() {
    let mut rig = Rig::with_ats();
    let device = rig.unit.add_device(SID, ats());
    device.read(PAGE).unwrap();
    rig.tables.unmap(0, PAGE);
    rig.publish();
    rig.complete(&[(0x0001_0022, 0), DEVICE_INV]);
    assert!(device.read(PAGE).is_ok());
    // S is bit 0, and the source is in bits 47:32.
    rig.complete(&[(0x0208_0000_0003, 0x40_3001)]);
    assert_eq!(device.read(PAGE), Err(DeviceFault::NotPresent));
}

/// The device asks again at once, and the unit answers from a TLB that was to be invalidated first.
#[test]
fn a_unit_without_order_needs_a_fence_between() {
    let stale = |orders_device_tlbs, between: &[(u64, u64)]| {
        let options = VtdOptions {
            orders_device_tlbs,
            ..VtdOptions::default()
        };
        let mut rig = Rig::new(options, ats());
        rig.upgrade();
        let descriptors = [&[PAGE_INV], between, &[DEVICE_INV]].concat();
        rig.complete(&descriptors);
        rig.returned();
        rig.device.write(PAGE, 1).is_err()
    };
    assert!(stale(false, &[]));
    // A wait that is no fence is none.
    assert!(stale(false, &[(0x15, 0)]));
    assert!(!stale(false, &[FENCE]));
    assert!(!stale(true, &[]));
}

#[test]
fn order_does_not_hold_the_other_way_round() {
    let mut rig = Rig::with_ats();
    rig.upgrade();
    rig.complete(&[DEVICE_INV, PAGE_INV]);
    // Late did the last first; the device was told after that.
    assert!(rig.device.write(PAGE, 1).is_ok());
    let mut stale = false;
    for seed in 1..20 {
        let mut rig = Rig::with_temper(VtdOptions::default(), ats(), Temper::Seeded(seed));
        rig.upgrade();
        rig.complete(&[DEVICE_INV, PAGE_INV]);
        stale |= rig.device.write(PAGE, 1).is_err();
    }
    assert!(stale);
}

#[test]
fn a_device_with_the_erratum_heeds_the_second_invalidation() {
    let options = DeviceOptions {
        needs_repeat: true,
        ..ats()
    };
    let mut rig = Rig::new(VtdOptions::default(), options);
    rig.upgrade();
    rig.complete(&[PAGE_INV, DEVICE_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    rig.complete(&[DEVICE_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.upgrade();
    rig.complete(&[PAGE_INV, DEVICE_INV, DEVICE_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_context_without_device_tlbs_refuses_translation_requests() {
    let rig = Rig::with_ats();
    rig.put_context(0b1001);
    rig.publish();
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x44)));
    rig.device.set_ats(false);
    assert!(rig.device.read(PAGE).is_ok());
    assert_eq!(rig.device.held(), 0);
    assert_eq!(rig.device.pasid(PASID).sid(), SID);
}

/// What the device translated itself is refused once its context entry is gone.
#[test]
fn translated_accesses_need_a_context_entry() {
    for flags in [0, 0b1001] {
        let mut rig = Rig::with_ats();
        rig.device.read(PAGE).unwrap();
        rig.put_context(flags);
        rig.publish();
        // The cached entry still admits them.
        assert!(rig.device.read(PAGE).is_ok());
        rig.complete(&[CONTEXT_INV]);
        assert!(rig.device.held() > 0);
        let reason = if flags == 0 { 0x41 } else { 0x44 };
        assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(reason)));
    }
}

/// What the device refuses completes, and nothing has happened: a driver must not attach it under such a PASID.
#[test]
fn a_pasid_beyond_the_devices_is_refused_and_completes() {
    let options = DeviceOptions {
        pasid_bits: 8,
        ..ats()
    };
    let mut rig = Rig::new(VtdOptions::default(), options);
    rig.upgrade();
    rig.complete(&[PAGE_INV, DEVICE_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    assert_eq!(rig.errors(), 0);
}
