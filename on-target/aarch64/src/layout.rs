//! Where things are on QEMU's `virt` machine, and how the kernel sees them.

use core::ptr::NonNull;

/// Where the image lies in memory; the same number stands in `link.ld`.
pub const IMAGE_BASE: u64 = 0x4020_0000;
/// What the boot tables map of memory, from [`IMAGE_BASE`] on; the same number stands in `link.ld`.
pub const IMAGE_MAPPED: u64 = 0x100_0000;
/// Distance between a physical address and the kernel's view of it.
pub const KERNEL_OFFSET: u64 = 0xffff_0000_0000_0000;

/// The PL011 console.
pub const UART: u64 = 0x0900_0000;
/// The SMMUv3: register page 0, and page 1 behind it.
pub const SMMU: u64 = 0x0905_0000;
/// Both register pages of the SMMUv3.
pub const SMMU_LEN: usize = 0x2_0000;
/// Begin of the window from which PCI BARs are given out.
pub const PCI_WINDOW: u64 = 0x1000_0000;
/// Length of that window, as far as it is mapped.
pub const PCI_WINDOW_LEN: u64 = 0x20_0000;
/// PCI configuration space of bus 0.
pub const ECAM: u64 = 0x40_1000_0000;
/// Length of the configuration space of one bus.
pub const ECAM_LEN: usize = 0x10_0000;

/// Where the kernel sees the device register or memory at `phys`.
///
/// # Panics
/// Never for the addresses of this module: none is null in the kernel's view.
pub fn mapped(phys: u64) -> NonNull<u8> {
    let address = core::ptr::with_exposed_provenance_mut((phys + KERNEL_OFFSET) as usize);
    NonNull::new(address).expect("the kernel half does not hold address 0")
}

/// Where devices and page tables find an object of the kernel image.
pub fn phys_of<T>(object: *const T) -> u64 {
    object.expose_provenance() as u64 - KERNEL_OFFSET
}
