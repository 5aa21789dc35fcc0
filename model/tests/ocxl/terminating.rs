//! Terminations: a device goes on until it has ended, and may never end.

use super::rig::*;
use tlb_shootdown_model::ocxl::{DeviceFault, LinkOptions};

#[test]
fn the_device_goes_on_until_the_busy_bit_is_clear() {
    let rig = Rig::new(LinkOptions::POWER9);
    assert!(rig.device.terminate());
    assert!(rig.device.read(PAGE).is_ok());
    assert_eq!(rig.device.terminating(), Some(PASID));
    assert_eq!(rig.device.terminating(), Some(PASID));
    assert!(rig.device.read(PAGE).is_ok());
    assert_eq!(rig.device.terminating(), None);
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Terminated));
    // Used again, it begins anew.
    let again = rig.link.device(FUNCTION, PASID);
    assert!(again.read(PAGE).is_ok());
    rig.assert_clean();
}

#[test]
fn a_terminated_context_reads_no_element() {
    let rig = Rig::new(LinkOptions::POWER9);
    assert!(rig.device.terminate());
    while rig.device.terminating().is_some() {}
    rig.put(PASID, 15, 0);
    rig.publish();
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Terminated));
    rig.assert_clean();
}

#[test]
fn an_accelerator_ends_one_context_at_a_time() {
    let rig = Rig::new(LinkOptions::POWER9);
    let other = rig.link.device(FUNCTION, 4);
    let elsewhere = rig.link.device(FUNCTION + 1, 4);
    assert!(rig.device.terminate());
    assert!(!other.terminate());
    assert!(elsewhere.terminate());
    while other.terminating().is_some() {}
    assert!(other.terminate());
    assert_eq!(rig.device.read(PAGE), Err(DeviceFault::Terminated));
}

#[test]
fn a_stuck_accelerator_never_ends() {
    let rig = Rig::new(LinkOptions::POWER9);
    rig.device.set_stuck(true);
    assert!(rig.device.terminate());
    assert!((0..100).all(|_| rig.device.terminating() == Some(PASID)));
    assert!(rig.device.read(PAGE).is_ok());
    rig.device.set_stuck(false);
    assert_eq!(rig.device.terminating(), None);
}
