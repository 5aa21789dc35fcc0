//! Root, context and PASID tables, their faults, and the caches of them.

use crate::rig::{CONTEXT_INV, ENABLED, FSTS, PAGE, PASID, PASID_INV, Rig, put};
use tlb_shootdown::dma::Mmio;
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, VtdOptions};

/// CAP and ECAP of the default options.
#[test]
fn the_capabilities_say_what_was_asked_for() {
    let rig = Rig::plain();
    assert_eq!(rig.unit.read64(0x08), 0x11d2_0380_402f_0406);
    assert_eq!(rig.unit.read64(0x10), 0x0001_8d98_0000_5007);
    let options = VtdOptions {
        device_tlbs: false,
        caching_mode: true,
        write_buffer: true,
        coherent: false,
        throttles: true,
        page_drain: false,
        mamv: 9,
        pasid_bits: 16,
        five_levels: false,
        ..VtdOptions::default()
    };
    let rig = Rig::new(options, DeviceOptions::default());
    assert_eq!(rig.unit.read64(0x08), 0x01c9_0380_402f_0496);
    assert_eq!(rig.unit.read64(0x10), 0x0000_8b78_0000_5002);
}

/// The reason that an access ends with after `change`, made before the first access.
fn reason(change: impl Fn(&Rig)) -> Result<u64, DeviceFault> {
    let rig = Rig::plain();
    change(&rig);
    rig.publish();
    rig.device.read(PAGE)
}

#[test]
fn every_table_has_faults_of_its_own() {
    let entry = (PASID & 0x3f) as usize * 8;
    let table = |rig: &Rig| rig.pasids.phys().raw();
    for (expected, change) in [
        (0x39, &(|rig: &Rig| put(&rig.root, 4, 0)) as &dyn Fn(&Rig)),
        (0x3a, &|rig| {
            put(&rig.root, 4, rig.contexts.phys().raw() | 3)
        }),
        (0x38, &|rig| rig.unit.write64(0x20, 1 << 50 | 1 << 10)),
        (0x40, &|rig| put(&rig.root, 4, 1 << 50 | 1)),
        (0x41, &|rig| rig.put_context(0)),
        (0x42, &|rig| rig.put_context(0b1101 | 1 << 5)),
        (0x42, &|rig| put(&rig.contexts, 8 * 4 + 2, 1)),
        (0x45, &|rig| rig.put_context(0b0101)),
        (0x50, &|rig| put(&rig.contexts, 8 * 4, 1 << 50 | 0b1101)),
        (0x51, &|rig| put(&rig.directory, 4, 0)),
        (0x52, &|rig| put(&rig.directory, 4, table(rig) | 5)),
        (0x58, &|rig| put(&rig.directory, 4, 1 << 50 | 1)),
        (0x59, &|rig| put(&rig.pasids, entry, 0x48)),
        (0x5a, &|rig| put(&rig.pasids, entry + 1, 1 | 1 << 16)),
        (0x5a, &|rig| put(&rig.pasids, entry + 5, 1)),
        (0x5b, &|rig| put(&rig.pasids, entry, 2 << 6 | 1)),
    ] {
        let set_root = |rig: &Rig| {
            change(rig);
            rig.command(ENABLED | 1 << 30, ENABLED);
            rig.unit.step();
        };
        assert_eq!(
            reason(set_root),
            Err(DeviceFault::Reason(expected)),
            "{expected:#x}"
        );
    }
    let rig = Rig::plain();
    // 2^13 PASIDs fit into a directory of 128 entries.
    assert_eq!(
        rig.device.pasid(1 << 13).read(PAGE),
        Err(DeviceFault::Reason(0x46))
    );
}

#[test]
fn a_legacy_root_table_serves_nobody() {
    let rig = Rig::plain();
    rig.unit.write64(0x20, rig.root.phys().raw());
    // The new root is taken over by SRTP alone.
    assert!(rig.device.read(PAGE).is_ok());
    rig.command(ENABLED | 1 << 30, ENABLED);
    rig.unit.step();
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x30)));
}

#[test]
fn a_context_stays_cached_until_its_invalidation() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.put_context(0);
    rig.publish();
    for other in [
        (0x0000_0210_0000_0031, 0),
        // By domain: contexts have none.
        (0x0001_0021, 0),
    ] {
        rig.complete(&[other]);
        assert!(rig.device.read(PAGE).is_ok(), "{other:x?}");
    }
    rig.complete(&[CONTEXT_INV]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x41)));
}

#[test]
fn a_function_mask_widens_a_context_invalidation() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.put_context(0);
    rig.publish();
    // Function 7 of the same device: masked by 2 bits it is not function 0, by 3 bits it is.
    rig.complete(&[(0x0002_020f_0000_0031, 0)]);
    assert!(rig.device.read(PAGE).is_ok());
    rig.complete(&[(0x0003_020f_0000_0031, 0)]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x41)));
}

#[test]
fn absent_entries_are_cached_in_caching_mode() {
    for caching_mode in [false, true] {
        let options = VtdOptions {
            caching_mode,
            ..VtdOptions::default()
        };
        let mut rig = Rig::new(options, DeviceOptions::default());
        rig.clear_pasid(PASID);
        assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x59)));
        rig.put_pasid(PASID, rig.tables.root());
        rig.publish();
        assert_eq!(rig.device.read(PAGE).is_err(), caching_mode);
        rig.complete(&[(0x0000_0123_0001_0017, 0)]);
        assert!(rig.device.read(PAGE).is_ok());
    }
}

#[test]
fn faults_are_recorded_until_they_are_cleared() {
    let mut rig = Rig::plain();
    rig.tables.unmap(0, PAGE);
    rig.publish();
    rig.complete(&[PASID_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::NotPresent));
    // PPF, and record 0.
    assert_eq!(rig.unit.read32(FSTS), 1 << 1);
    assert_eq!(rig.unit.read64(0x400), PAGE);
    // F, PASID 0x123, reason 0x71, PP, source 0x0208; a read has T1 as well.
    assert_eq!(rig.unit.read64(0x408), 0x8001_2371_8000_0208);
    rig.device.read(PAGE).unwrap_err();
    assert_eq!(rig.unit.read64(0x418), 0xc001_2371_8000_0208);
    for _ in 0..3 {
        rig.device.read(PAGE).unwrap_err();
    }
    // Four records, and one lost.
    assert_eq!(rig.unit.read32(FSTS), 0b11);
    rig.unit.write32(0x40c, 1 << 31);
    assert_eq!(rig.unit.read32(FSTS), 1 << 8 | 0b11);
    for record in [0x41c, 0x42c, 0x43c] {
        rig.unit.write32(record, 1 << 31);
    }
    rig.unit.write32(FSTS, 1);
    assert_eq!(rig.unit.read32(FSTS), 0);
}

#[test]
fn entries_can_keep_their_faults_quiet() {
    let rig = Rig::plain();
    rig.clear_pasid(PASID);
    put(&rig.pasids, (PASID & 0x3f) as usize * 8, 0b10);
    rig.publish();
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x59)));
    assert_eq!(rig.unit.read32(FSTS), 0);
}

#[test]
fn translation_off_is_no_translation() {
    let rig = Rig::plain();
    rig.model.poke(rig.frame, 0x77);
    rig.command(1 << 26, 1 << 26);
    assert_eq!(rig.device.read(rig.frame), Ok(0x77));
}
