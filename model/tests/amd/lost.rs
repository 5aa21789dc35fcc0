//! Commands that nobody has done when all is said to be over.

use crate::rig::{DEVICE, DEVICE_PAGE, PAGE, PASID, PASID_ALL, PASID_PAGE, Rig, put};
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown_model::oracle::{Holder, Violation};

fn settled(rig: &Rig) -> Vec<Violation> {
    rig.model.settled(rig.tables.root(), PAGE, PAGE | 0xfff);
    rig.model.violations()
}

fn lost(holder: Holder) -> [Violation; 1] {
    [Violation::LostRequest { holder, va: PAGE }]
}

#[test]
fn a_command_that_was_fetched_is_not_done() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.ring(&[PASID_PAGE]);
    assert_eq!(settled(&rig), lost(Holder::Iommu(0)), "in the buffer");
    rig.iommu.step();
    assert_eq!(rig.head(), 0x10);
    assert_eq!(settled(&rig), lost(Holder::Iommu(0)), "under way");
    rig.iommu.settle();
    assert_eq!(settled(&rig), []);
}

/// As Linux does it: the buffer is started anew as if nothing had been under way.
#[test]
fn commands_are_forgotten_with_the_buffer() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.ring(&[PASID_PAGE]);
    rig.iommu.step();
    rig.restart();
    assert_eq!(settled(&rig), lost(Holder::Iommu(0)));
    rig.run(&[PASID_ALL]);
    assert_eq!(settled(&rig), []);
}

#[test]
fn a_command_is_overwritten_in_its_slot() {
    let mut rig = Rig::plain();
    rig.device.read(PAGE).unwrap();
    rig.iommu.abort_next_fetch();
    let wait = rig.wait();
    rig.run(&[PASID_PAGE, wait]);
    assert!(!rig.runs());
    put(&rig.commands, 0, wait.0);
    put(&rig.commands, 1, wait.1);
    rig.barriers.before_doorbell();
    rig.restart();
    assert_eq!(rig.stored(), 1);
    assert_eq!(settled(&rig), lost(Holder::Iommu(0)));
    rig.run(&[PASID_PAGE]);
    assert_eq!(settled(&rig), []);
}

/// The wait completes, and the event alone says that the device has done nothing.
#[test]
fn a_silent_device_is_given_up() {
    let mut rig = Rig::with_ats();
    rig.device.read(PAGE).unwrap();
    rig.device.set_silent(true);
    let wait = rig.wait();
    rig.run(&[DEVICE_PAGE, wait]);
    assert_eq!(rig.stored(), 1);
    assert_eq!(settled(&rig), lost(Holder::Device(DEVICE.into())));
    rig.device.set_silent(false);
    rig.run(&[DEVICE_PAGE]);
    assert_eq!(settled(&rig), []);
}

/// The root changes under its tag. The IOMMU is told, and the device is not.
#[test]
fn a_pasid_comes_to_another_space_uncleaned() {
    let mut rig = Rig::with_ats();
    rig.device.read(PAGE).unwrap();
    let other = rig.model.x86_tables();
    let frame = rig.model.allocate(0x1000);
    let rights = tlb_shootdown_model::memory::descriptor::Rights::ReadOnly;
    let page = tlb_shootdown_model::memory::Mapping::page(frame, rights);
    other.map(0, 1 << 40, page);
    rig.put_root(other.root() | 1);
    rig.barriers.publish_tables();
    rig.run(&[PASID_ALL]);
    rig.device.read(1 << 40).unwrap();
    let (holder, id) = (Holder::Device(DEVICE.into()), PASID);
    assert_eq!(
        rig.model.violations(),
        [Violation::ReusedDirty { holder, id }]
    );
}
