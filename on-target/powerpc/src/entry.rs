//! Entries of radix trees (Power ISA 3.0B, Book III, "Radix Tree Translation"; each big-endian): 52 bits of an address, in a root of 13 bits and
//! three tables of 9, down to pages of 4 KiB.

/// Entries of the root.
pub(crate) const ROOT_ENTRIES: usize = 1 << ROOT_BITS;
/// Entries of every other table.
pub(crate) const ENTRIES: usize = 512;

/// The level of a root; that of the tables with pages is 1.
pub(crate) const LEVELS: u32 = 4;

const ROOT_BITS: u32 = 13;

/// A root.
#[derive(Clone)]
#[repr(C, align(65536))]
pub(crate) struct Root(pub(crate) [u64; ROOT_ENTRIES]);

/// Any other table.
#[derive(Clone)]
#[repr(C, align(4096))]
pub(crate) struct Table(pub(crate) [u64; ENTRIES]);

impl Root {
    pub(crate) const EMPTY: Self = Self([0; ROOT_ENTRIES]);
}

impl Table {
    pub(crate) const EMPTY: Self = Self([0; ENTRIES]);
}

/// V.
const VALID: u64 = 1 << 63;
/// L: the entry of a page.
const LEAF: u64 = 1 << 62;
/// R and C, so that no walker has a reason to write.
const USED: u64 = 1 << 8 | 1 << 7;
/// Att: non-idempotent I/O.
const DEVICE: u64 = 0b10 << 4;
/// EAA: privileged state alone.
const PRIVILEGED: u64 = 1 << 3;
const READ: u64 = 1 << 2;
const WRITE: u64 = 1 << 1;
const EXECUTE: u64 = 1 << 0;
/// What of an entry is a physical address, of a table or a root: bits 4 to 51 in the manual's count.
const ADDRESS: u64 = 0x0fff_ffff_ffff_f000;
/// NLS, in an entry that leads to a table: its bits.
const NEXT_BITS: u64 = 9;

/// RTS of a process-table or partition-table entry: 52 bits (31 + 21), in two fields.
const TREE_BITS: u64 = 0b10 << 61 | 0b101 << 5;

/// An entry that leads to the next table.
pub(crate) const fn table(phys: u64) -> u64 {
    (phys | VALID | NEXT_BITS).to_be()
}

/// A page of the kernel image: code and data alike, so that the image needs no alignment between them.
pub(crate) const fn kernel_page(phys: u64) -> u64 {
    (phys | VALID | LEAF | USED | PRIVILEGED | READ | WRITE | EXECUTE).to_be()
}

/// A page of kernel data.
pub(crate) const fn kernel_data_page(phys: u64) -> u64 {
    (phys | VALID | LEAF | USED | PRIVILEGED | READ | WRITE).to_be()
}

/// A page of device registers.
pub(crate) const fn device_page(phys: u64) -> u64 {
    kernel_data_page(phys | DEVICE)
}

/// A page of a process.
pub(crate) const fn user_page(phys: u64, writable: bool) -> u64 {
    let right = if writable { WRITE } else { 0 };
    (phys | VALID | LEAF | USED | READ | right).to_be()
}

/// The first word of a process-table entry for the tree at `root`.
pub(crate) const fn process(root: u64) -> u64 {
    (root | TREE_BITS | ROOT_BITS as u64).to_be()
}

/// The root of a process-table entry's tree; `None` where there is none.
pub(crate) const fn root(entry: u64) -> Option<u64> {
    match u64::from_be(entry) & ADDRESS {
        0 => None,
        root => Some(root),
    }
}

/// Whether an entry is that of a page.
pub(crate) const fn is_page(entry: u64) -> bool {
    u64::from_be(entry) & (VALID | LEAF) == VALID | LEAF
}

/// The table that an entry leads to.
pub(crate) const fn next_table(entry: u64) -> Option<u64> {
    let entry = u64::from_be(entry);
    if entry & (VALID | LEAF) == VALID {
        Some(entry & ADDRESS)
    } else {
        None
    }
}

/// Entries of a table of `level`.
pub(crate) const fn entries(level: u32) -> usize {
    if level == LEVELS {
        ROOT_ENTRIES
    } else {
        ENTRIES
    }
}

/// Index of `address` in a table of `level` (4, the root, to 1).
pub(crate) const fn index(address: u64, level: u32) -> usize {
    (address >> (12 + 9 * (level - 1))) as usize % entries(level)
}
