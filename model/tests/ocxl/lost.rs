//! A launch that has not ended, and a PID that comes to another process.

use super::rig::*;
use tlb_shootdown::dma::Mmio;
use tlb_shootdown_model::ocxl::LinkOptions;
use tlb_shootdown_model::oracle::{Holder, Violation};

fn settled(rig: &Rig) -> Vec<Violation> {
    rig.model.settled(rig.tables.root(), PAGE, PAGE | 0xfff);
    rig.model.violations()
}

#[test]
fn a_launch_is_not_waited_for() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.device.read(PAGE).unwrap();
    rig.write(AVA, PAGE);
    rig.write(LNCH, ONE_PAGE);
    let (holder, va) = (Holder::Iommu(0), PAGE);
    assert_eq!(settled(&rig), [Violation::LostRequest { holder, va }]);
    while u64::from_be(rig.link.read64(STAT)) != 0 {}
    assert_eq!(settled(&rig), []);
}

/// The nest MMU holds what it has translated, and where the last tree began.
#[test]
fn a_pid_comes_to_another_process_while_a_link_holds_it() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.device.read(PAGE).unwrap();
    let other = rig.model.radix_tables();
    rig.model.cpu(0).load(other.root(), PID.into());
    let (holder, id) = (Holder::Iommu(0), PID);
    assert_eq!(
        rig.model.violations(),
        [Violation::ReusedDirty { holder, id }]
    );
}
