//! This kernel and the library's driver of its VT-d unit before the conformance suite, all in one call, with a device that looks.
#![no_std]
#![no_main]

use on_target_x86_64 as kernel;

#[path = "../../proof/device.rs"]
mod proof;
#[path = "../../proof/interrupted.rs"]
mod work;

#[embedded_test::tests]
mod tests {
    use crate::kernel::device::Devices;
    use crate::kernel::machine::Emulated;
    use crate::proof;

    fn devices(machine: &Emulated) -> &Devices {
        machine.devices().expect("they were found")
    }

    /// QEMU reads P of a PASID entry together with the context entry, and goes on with a table that a device has walked before whatever P
    /// is: that the device is silent after a release is not checked here. The model heeds it.
    #[test]
    fn all_ports_keep_their_contracts_and_the_device_sees_it() {
        let counts = [(20, 1), (29, 2), (23, 1), (1, 0)];
        assert_eq!(proof::prove(devices, false), counts);
    }
}
