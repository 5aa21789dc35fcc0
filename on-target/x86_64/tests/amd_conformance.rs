//! The library's driver of this machine's AMD IOMMU before the conformance suite, with a device that looks.
#![no_std]
#![no_main]

use on_target_x86_64 as kernel;

#[path = "../../proof/device.rs"]
mod proof;

#[embedded_test::tests]
mod tests {
    use crate::kernel::machine::Emulated;
    use crate::proof;

    #[test]
    fn the_driver_keeps_its_contract_and_the_device_sees_it() {
        let devices = |machine: &Emulated| machine.devices().expect("they were found");
        assert_eq!(proof::prove(devices, true), (24, 0));
    }
}
