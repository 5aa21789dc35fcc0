//! The formats of page tables, as far as kernels here set bits by themselves.

use tlb_shootdown_model::Model;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Tables, descriptor, radix, x86_64};

/// PXN and UXN (Arm ARM D8.3.2).
const NEVER_EXECUTED: u64 = 0b11 << 53;

/// Who walks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// AArch64 CPUs and SMMUs.
    Vmsa,
    /// x86-64 CPUs, VT-d units and AMD IOMMUs.
    X86,
    /// POWER CPUs and nest MMUs.
    Radix,
}

impl Format {
    /// An empty table.
    pub(crate) fn tables(self, model: &Model) -> Tables {
        match self {
            Self::Vmsa => model.tables(),
            Self::X86 => model.x86_tables(),
            Self::Radix => model.radix_tables(),
        }
    }

    /// A leaf entry of a page of data as a kernel has it: never executed, and not at once read-only and dirty, which on x86-64 is a page of
    /// a shadow stack.
    pub(crate) const fn data(self, raw: u64, rights: Rights) -> u64 {
        match (self, rights) {
            (Self::Vmsa, _) => raw | NEVER_EXECUTED,
            (Self::X86, Rights::ReadOnly) => raw & !x86_64::DIRTY,
            (Self::X86, Rights::ReadWrite) | (Self::Radix, _) => raw,
        }
    }

    /// A leaf entry without its accessed flag.
    pub(crate) const fn not_accessed(self, raw: u64) -> u64 {
        match self {
            Self::Vmsa => raw & !descriptor::ACCESSED,
            Self::X86 => raw & !x86_64::ACCESSED,
            Self::Radix => raw & !radix::REFERENCED.to_be(),
        }
    }
}
