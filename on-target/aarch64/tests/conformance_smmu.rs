//! This kernel and the library's driver of its SMMU before the conformance suite, all in one call, with a device that looks.
#![no_std]
#![no_main]

use on_target_aarch64 as kernel;

#[path = "../../proof/device.rs"]
mod proof;
#[path = "../../proof/polled.rs"]
mod work;

#[embedded_test::tests]
mod tests {
    use crate::kernel::device::Devices;
    use crate::kernel::machine::Emulated;
    use crate::proof;

    fn devices(machine: &Emulated) -> &Devices {
        machine.devices()
    }

    #[test]
    fn all_ports_keep_their_contracts_and_the_device_sees_it() {
        let counts = [(19, 2), (29, 2), (24, 0), (1, 0)];
        assert_eq!(proof::prove(devices, true), counts);
    }
}
