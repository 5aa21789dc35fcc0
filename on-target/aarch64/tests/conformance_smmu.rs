//! The library's driver of this machine's SMMU before the conformance suite, with a device that looks.
#![no_std]
#![no_main]

use on_target_aarch64 as kernel;

#[path = "../../proof/device.rs"]
mod proof;

#[embedded_test::tests]
mod tests {
    use crate::kernel::machine::Emulated;
    use crate::proof;

    #[test]
    fn the_driver_keeps_its_contract_and_the_device_sees_it() {
        assert_eq!(proof::prove(Emulated::devices, true), (24, 0));
    }
}
