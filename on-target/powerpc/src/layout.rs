//! Where things are, on all three machines, and how the kernel sees them.

/// Distance between a physical address and where the kernel sees it: quadrant 3. The same number stands in `link.ld`.
pub const KERNEL_OFFSET: u64 = 0xc000_0000_0000_0000;
/// Where the boot tables lie in memory; the same number stands in `link.ld`.
pub const BOOT_TABLES: u64 = 0x1_0000;
/// What the boot tables map of memory, from address 0 on; the same number stands in `link.ld`.
pub const IMAGE_MAPPED: u64 = 0x60_0000;
/// Where the runner puts the words: the last page of those that are mapped, behind the image.
pub const WORDS: u64 = 0x5f_f000;

/// Where the pages of quadrant 3 that tests change begin.
pub const KERNEL_HALF: u64 = 0xc008_0000_0000_0000;

/// I/O ports of machines without firmware, behind the LPC bus; two pages of them are used.
pub const PORTS: u64 = 0x6_0300_d001_0000;
/// The first port of the UART.
pub const UART: u64 = PORTS + 0x3f8;
/// The first port of the path to the board's controller.
pub const BMC: u64 = PORTS + 0xe4;

/// Where page tables and hypervisor calls find an object of the kernel image.
pub fn phys_of<T>(object: *const T) -> u64 {
    object.expose_provenance() as u64 - KERNEL_OFFSET
}
