//! Descriptors that nobody has done when all is said to be over, and large pages that a small descriptor leaves.

use crate::rig::{DEVICE_INV, FENCE, IQE, ITE, PAGE, PAGE_INV, PASID_INV, Rig, SID, put};
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::vtd::DeviceFault;

fn settled(rig: &Rig) -> Vec<Violation> {
    rig.model.settled(rig.tables.root(), PAGE, PAGE | 0xfff);
    rig.model.violations()
}

fn lost(holder: Holder) -> [Violation; 1] {
    [Violation::LostRequest { holder, va: PAGE }]
}

#[test]
fn a_descriptor_that_was_fetched_is_not_done() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.run(&[PAGE_INV]);
    assert_eq!(rig.head(), 1);
    assert_eq!(settled(&rig), lost(Holder::Iommu(0)));
    rig.complete(&[]);
    assert_eq!(settled(&rig), []);
}

/// As Linux does it: what was refused is replaced by a wait, whosever it was.
#[test]
fn a_descriptor_is_overwritten_in_its_queue() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.unit.refuse_next();
    rig.run(&[PAGE_INV, FENCE]);
    assert_eq!(rig.errors(), IQE);
    put(&rig.queue, 0, FENCE.0);
    put(&rig.queue, 1, FENCE.1);
    rig.barriers.before_doorbell();
    rig.clear(IQE);
    rig.unit.settle();
    assert_eq!((rig.errors(), rig.head()), (0, 2));
    assert_eq!(settled(&rig), lost(Holder::Iommu(0)));
    rig.complete(&[PASID_INV]);
    assert_eq!(settled(&rig), []);
}

#[test]
fn a_silent_device_is_given_up() {
    let mut rig = Rig::with_ats();
    rig.device.read(PAGE).unwrap();
    rig.device.set_silent(true);
    rig.run(&[DEVICE_INV, FENCE]);
    assert_eq!(rig.errors(), ITE);
    rig.clear(ITE);
    rig.unit.settle();
    assert_eq!(settled(&rig), lost(Holder::Device(SID.into())));
    rig.device.set_silent(false);
    rig.complete(&[DEVICE_INV]);
    assert_eq!(settled(&rig), []);
}

/// "When invalidating mappings for super-pages, software must specify the appropriate mask value": 9 for 2 MiB (Invalidate Address Register, AM).
#[test]
fn a_large_page_goes_by_a_mask_that_covers_it() {
    let mut rig = Rig::plain();
    let (base, frame) = (0x4000_0000, rig.model.allocate(0x20_0000));
    let large = Mapping {
        level: 2,
        ..Mapping::page(frame, Rights::ReadOnly)
    };
    rig.tables.map(0, base, large);
    rig.publish();
    rig.device.read(base + 0x3000).unwrap();
    rig.tables.unmap(0, base);
    rig.publish();
    for mask in [0, 8] {
        rig.complete(&[(PAGE_INV.0, base | mask)]);
        assert!(rig.device.read(base + 0x3000).is_ok(), "mask {mask}");
    }
    rig.complete(&[(PAGE_INV.0, base | 9)]);
    assert_eq!(rig.device.read(base + 0x3000), Err(DeviceFault::NotPresent));
}

/// The PASID's tree changes under its tag, and the PASID cache alone is told.
#[test]
fn a_pasid_comes_to_another_space_uncleaned() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    let other = rig.model.x86_tables();
    rig.put_pasid(crate::rig::PASID, other.root());
    rig.publish();
    rig.complete(&[crate::rig::CACHE_INV]);
    let _ = rig.device.read(1 << 40);
    let (holder, id) = (Holder::Iommu(0), crate::rig::PASID);
    assert_eq!(
        rig.model.violations(),
        [Violation::ReusedDirty { holder, id }]
    );
}
