//! Units that do not see a store at once.

use crate::rig::{ENABLED, GCMD, GSTS, PAGE, PAGE_INV, PASID, Rig};
use tlb_shootdown::dma::Mmio;
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, VtdOptions};

fn buffered() -> Rig {
    let options = VtdOptions {
        write_buffer: true,
        ..VtdOptions::default()
    };
    Rig::new(options, DeviceOptions::default())
}

/// An entry that was absent becomes present, for which no invalidation is needed.
#[test]
fn a_store_waits_in_the_write_buffer_until_it_is_flushed() {
    let rig = buffered();
    rig.clear_pasid(PASID);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x59)));
    rig.put_pasid(PASID, rig.tables.root());
    rig.publish();
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x59)));
    // GCMD.WBF, and WBFS goes back to 0.
    rig.unit.write32(GCMD, ENABLED | 1 << 27);
    while rig.unit.read32(GSTS) & 1 << 27 != 0 {}
    assert!(rig.device.read(PAGE).is_ok());
}

#[test]
fn an_invalidation_flushes_the_write_buffer() {
    let mut rig = buffered();
    rig.upgrade();
    rig.complete(&[PAGE_INV]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.returned();
    rig.assert_clean();
}

#[test]
fn an_incoherent_unit_sees_what_was_cleaned() {
    let options = VtdOptions {
        coherent: false,
        ..VtdOptions::default()
    };
    let mut rig = Rig::new(options, DeviceOptions::default());
    assert!(rig.device.read(PAGE).is_ok());
    rig.clear_pasid(PASID);
    // PASID cache and TLB are empty, but the cleared entry is still in a CPU's cache.
    rig.complete(&[(0x37, 0)]);
    rig.complete(&[(0x12, 0)]);
    assert!(rig.device.read(PAGE).is_ok());
    rig.clean(&rig.pasids);
    rig.complete(&[(0x37, 0)]);
    rig.complete(&[(0x12, 0)]);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Reason(0x59)));
}
