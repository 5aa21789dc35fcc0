//! Where things are on QEMU's `q35` machine, and how the kernel sees them.

use core::ptr::NonNull;

/// Where the image lies in memory; the same number stands in `link.ld`.
pub const IMAGE_BASE: u64 = 0x100_0000;
/// What the boot tables map of memory, from [`IMAGE_BASE`] on; the same number stands in `link.ld`.
pub const IMAGE_MAPPED: u64 = 0x100_0000;
/// Distance between a physical address of the image and where it runs; the same number stands in `link.ld`.
pub const IMAGE_OFFSET: u64 = 0xffff_ffff_8000_0000;
/// Distance between a physical address and the kernel's view of devices and low memory.
pub const KERNEL_OFFSET: u64 = 0xffff_8000_0000_0000;

/// Where the pages of the kernel half that tests change begin.
pub const KERNEL_HALF: u64 = 0xffff_c000_0000_0000;

/// The page below 1 MiB in which the other CPUs start; a start-up IPI names it by its number.
pub const TRAMPOLINE: u64 = 0x8000;
/// Begin of the window from which PCI BARs are given out.
pub const PCI_WINDOW: u64 = 0xc000_0000;
/// Length of that window, as far as it is mapped.
pub const PCI_WINDOW_LEN: u64 = 0x20_0000;
/// The AMD IOMMU, where the machine has one.
pub const AMD_IOMMU: u64 = 0xfed8_0000;
/// All registers of the AMD IOMMU.
pub const AMD_IOMMU_LEN: usize = 0x4000;
/// The VT-d remapping unit, where the machine has one.
pub const VTD: u64 = 0xfed9_0000;
/// The registers of the VT-d remapping unit up to its fault records.
pub const VTD_LEN: usize = 0x220;
/// Its only fault record, where CAP_REG.FRO says.
pub const VTD_FAULTS: u64 = VTD + VTD_LEN as u64;
/// One fault record.
pub const VTD_FAULTS_LEN: usize = 0x10;
/// The local APIC: each CPU finds its own there.
pub const LOCAL_APIC: u64 = 0xfee0_0000;
/// The registers of a local APIC.
pub const LOCAL_APIC_LEN: usize = 0x1000;

/// Where the kernel sees the device register or low memory at `phys`.
///
/// # Panics
/// Never for the addresses of this module: none is null in the kernel's view.
pub fn mapped(phys: u64) -> NonNull<u8> {
    let address = core::ptr::with_exposed_provenance_mut((phys + KERNEL_OFFSET) as usize);
    NonNull::new(address).expect("the kernel half does not hold address 0")
}

/// Where devices and page tables find an object of the kernel image.
pub fn phys_of<T>(object: *const T) -> u64 {
    object.expose_provenance() as u64 - IMAGE_OFFSET
}
