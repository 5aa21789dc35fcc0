//! What a kernel does to its page tables, by name.

/// Why translations changed.
///
/// Each stands for a family of operations; the names of Linux' are given where they help to find it. Where an operation does
/// several things at once (a page is unmapped and its table freed), the strictest of the decisions holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Reason {
    /// Pages were unmapped and their memory goes back to its owner (munmap, MADV_DONTNEED, truncation; huge pages as well).
    Unmap,
    /// Pages that may be dirty were unmapped and outlive that (reclaim, pages of a shared file): they are written out some day.
    UnmapDirty,
    /// Rights were taken away (mprotect, the parent's pages in fork, hinting faults by PROT_NONE).
    Downgrade,
    /// Rights were given: same address, same attributes, and nothing taken away (mprotect, a write fault that reuses the page).
    Upgrade,
    /// A fault found an entry that allows the access: this CPU holds an older one.
    SpuriousFault,
    /// The accessed flag of single pages was cleared, to see whether they are used.
    AccessedCleared,
    /// The accessed flag of a large page was cleared, or that of a table.
    LargeAccessedCleared,
    /// Pages were made clean, or read-only, so that their contents can be read while nobody changes them (write-back, comparing pages
    /// before they are merged).
    DirtyCleared,
    /// The entry leads to other memory from now on (the copy on a write, a merged page, the page of a breakpoint put in place).
    Replaced,
    /// The memory is being moved: the entry is invalid while it is copied, and leads to the copy afterwards.
    Migration,
    /// As [`Migration`](Self::Migration), to or from the memory of a device, several pages collected under one page-table lock.
    DeviceMigration,
    /// Memory type, cacheability or shareability changed.
    MemoryType,
    /// Entries were moved to another address one by one (mremap); the old ones are gone.
    EntriesMoved,
    /// A whole table was moved to another address (mremap); the old entry for it is gone.
    TableMoved,
    /// Tables were unlinked and their memory goes back to its owner.
    TableFreed,
    /// A table that other address spaces use as well was unlinked from this one (hugetlb).
    TableUnshared,
    /// A large page was replaced by a table of smaller ones that map the same memory.
    Split,
    /// A table of small pages was replaced by one large page.
    Collapse,
    /// The hint that neighbouring entries map contiguous memory was set or cleared.
    ContiguousHint,
    /// The protection key of pages changed.
    ProtectionKey,
    /// Nobody will run the address space any more.
    SpaceExit,
    /// Pages of the kernel were unmapped, and their addresses will be given out again (vmalloc, modules).
    KernelMapping,
    /// Rights of kernel pages were taken away or given (a module sealed, its code patched).
    KernelRights,
    /// Tables of the kernel half were unlinked and their memory goes back to its owner.
    KernelTableFreed,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Unmap,
        Self::UnmapDirty,
        Self::Downgrade,
        Self::Upgrade,
        Self::SpuriousFault,
        Self::AccessedCleared,
        Self::LargeAccessedCleared,
        Self::DirtyCleared,
        Self::Replaced,
        Self::Migration,
        Self::DeviceMigration,
        Self::MemoryType,
        Self::EntriesMoved,
        Self::TableMoved,
        Self::TableFreed,
        Self::TableUnshared,
        Self::Split,
        Self::Collapse,
        Self::ContiguousHint,
        Self::ProtectionKey,
        Self::SpaceExit,
        Self::KernelMapping,
        Self::KernelRights,
        Self::KernelTableFreed,
    ];
}
