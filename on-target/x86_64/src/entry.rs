//! Entries of four-level page tables (Intel SDM volume 3, 5.5.4; AMD APM volume 2, 5.4).

/// Entries of one table.
pub(crate) const ENTRIES: usize = 512;

/// One table: 512 entries in one page.
#[derive(Clone)]
#[repr(C, align(4096))]
pub(crate) struct Table(pub(crate) [u64; ENTRIES]);

impl Table {
    pub(crate) const EMPTY: Self = Self([0; ENTRIES]);
}

/// P.
const PRESENT: u64 = 1 << 0;
/// R/W.
const WRITABLE: u64 = 1 << 1;
/// U/S: user-mode accesses as well; devices need it too.
const USER: u64 = 1 << 2;
/// PCD, and so the type UC- of a PAT that nobody has changed.
const UNCACHED: u64 = 1 << 4;
/// A and D, so that no walker has a reason to write.
const USED: u64 = 1 << 5 | 1 << 6;
/// G: of every address space.
const GLOBAL: u64 = 1 << 8;
/// PS: a page above the last level.
const LARGE: u64 = 1 << 7;
/// XD.
const NO_EXECUTE: u64 = 1 << 63;

/// An entry that leads to the next table; rights are up to the last entry.
pub(crate) const fn table(phys: u64) -> u64 {
    phys | PRESENT | WRITABLE | USER | 1 << 5
}

/// A page of the kernel image: code and data alike, so that the image needs no alignment between them.
pub(crate) const fn kernel_page(phys: u64) -> u64 {
    phys | PRESENT | WRITABLE | USED | GLOBAL
}

/// A page of kernel data.
pub(crate) const fn kernel_data_page(phys: u64) -> u64 {
    kernel_page(phys) | NO_EXECUTE
}

/// A page of device registers.
pub(crate) const fn device_page(phys: u64) -> u64 {
    kernel_data_page(phys) | UNCACHED
}

/// A page of a process, for user-mode accesses and devices.
pub(crate) const fn user_page(phys: u64, writable: bool) -> u64 {
    let right = if writable { WRITABLE } else { 0 };
    phys | PRESENT | right | USER | USED | NO_EXECUTE
}

/// A page of 2 MiB of a process, writable.
pub(crate) const fn user_large_page(phys: u64) -> u64 {
    user_page(phys, true) | LARGE
}

/// Index of `address` in a table of `level` (4, the root, to 1).
pub(crate) const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1))) as usize % ENTRIES
}
