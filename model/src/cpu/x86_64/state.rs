//! The registers of one CPU.

use super::operand;
use crate::memory::Format;
use crate::memory::walk::Start;
use crate::tlb::{Context, Entry, Regime, Says, Scope};

/// What a CPU has and its kernel has enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuFeatures {
    /// `CR4.PCIDE` is set.
    pub pcid: bool,
    /// INVPCID.
    pub invpcid: bool,
    /// INVLPGB and TLBSYNC; the largest count less one, as CPUID gives it.
    pub invlpgb: Option<u16>,
}

impl CpuFeatures {
    /// PCIDs and INVPCID.
    pub const PLAIN: Self = Self {
        pcid: true,
        invpcid: true,
        invlpgb: None,
    };
    /// The same with INVLPGB of up to 4 addresses.
    pub const BROADCASTS: Self = Self {
        invlpgb: Some(3),
        ..Self::PLAIN
    };
}

/// CR4.PAE, without which there are no 64 bits (Intel SDM Vol 3A 2.5).
const PAE: u64 = 1 << 5;
/// CR4.PGE.
pub(super) const PGE: u64 = 1 << 7;
/// CR4.PCIDE.
const PCIDE: u64 = 1 << 17;
/// CR3: the root in bits 51:12, the PCID in 11:0.
const ROOT: u64 = 0x000f_ffff_ffff_f000;
const PCID: u64 = 0xfff;
/// The half in which bit 47 is set, and all above it.
const UPPER: u64 = 1 << 63;

/// Registers, and what the kernel is doing with them.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct State {
    pub(super) features: CpuFeatures,
    pub(super) cr3: u64,
    pub(super) cr4: u64,
    /// CR3 of the kernel while the process runs under a root of its own, without the kernel.
    pub(super) kernel_cr3: Option<u64>,
    /// The root is loaded for nobody: nothing here accesses user addresses.
    pub(in crate::cpu) is_lazy: bool,
}

impl State {
    pub(in crate::cpu) fn new(features: CpuFeatures) -> Self {
        Self {
            features,
            cr3: 0,
            cr4: PAE | PGE | if features.pcid { PCIDE } else { 0 },
            kernel_cr3: None,
            is_lazy: false,
        }
    }

    pub(super) fn uses_pcids(&self) -> bool {
        self.cr4 & PCIDE != 0
    }

    /// The PCID of a value for CR3: 0 while there are none.
    pub(super) fn pcid_of(&self, cr3: u64) -> u32 {
        if self.uses_pcids() {
            (cr3 & PCID) as u32
        } else {
            0
        }
    }

    /// The root and the PCID.
    pub(super) fn loaded(&self) -> (u64, u32) {
        (self.cr3 & ROOT, self.pcid_of(self.cr3))
    }

    /// The tables that translate this address now.
    ///
    /// The kernel's half hangs under the kernel's root alone, and the process's own root under KPTI is the same without it: roots
    /// differ in their uppermost tables, which no test changes.
    pub(in crate::cpu) fn context(&self, va: u64, kernel_root: Option<u64>) -> Option<Context> {
        let root = self.cr3 & ROOT;
        let lower = (root != 0 && Some(root) != kernel_root).then_some(root);
        let upper = kernel_root.filter(|_| self.kernel_cr3.is_none());
        let table = if va & UPPER == 0 { lower } else { upper };
        table.map(|table| Context {
            regime: Regime::X86,
            asid: self.pcid_of(self.cr3),
            private: false,
            root: Start {
                format: Format::X86,
                level: 0,
                table,
            },
        })
    }

    /// What goes when an access to this address faults.
    pub(in crate::cpu) fn faulting(&self, va: u64) -> Scope {
        Scope::X86(operand::fault(self.pcid_of(self.cr3), va))
    }

    /// Whether the CPU can use the entry before it loads another root: then it must be right. A kernel need not be told of what lies
    /// under other identifiers, nor of user pages while nobody accesses them.
    pub(in crate::cpu) fn can_use(&self, entry: &Entry) -> bool {
        let is_loaded = entry.global || entry.context.asid == self.pcid_of(self.cr3);
        let is_idle = self.is_lazy && entry.va & UPPER == 0 && matches!(entry.says, Says::Leaf(_));
        is_loaded && !is_idle
    }
}
