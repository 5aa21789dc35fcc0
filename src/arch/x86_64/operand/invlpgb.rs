//! The registers of INVLPGB (AMD APM Vol 3, "INVLPGB").

use super::{Pcid, Run, Stride};
use crate::flush::Depth;

bitflags::bitflags! {
    /// RAX\[5:0\]: which fields an entry must match, and which entries are concerned.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Flags: u64 {
        const VA = 1 << 0;
        const PCID = 1 << 1;
        const ASID = 1 << 2;
        const GLOBAL = 1 << 3;
        const FINAL_ONLY = 1 << 4;
    }
}

/// ECX\[31\]: the addresses are 2 MiB apart instead of 4 KiB.
const STRIDE_2M: u32 = 1 << 31;
/// EDX\[27:16\].
const PCID_SHIFT: u32 = 16;

/// The operands of one INVLPGB.
///
/// The ASID is always valid and always 0, which is the host's own: without it the entries of every guest would match as well
/// (Linux 634ab76159a8). In a guest whose INVLPGB is not intercepted the hardware puts the guest's ASID in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Invlpgb {
    rax: u64,
    ecx: u32,
    edx: u32,
}

impl Invlpgb {
    /// Everything, global entries included.
    pub const fn all() -> Self {
        Self::matching(Flags::ASID.union(Flags::GLOBAL), 0)
    }

    /// Everything under every identifier but global entries.
    pub const fn all_but_global() -> Self {
        Self::matching(Flags::ASID, 0)
    }

    /// Everything under this identifier but global entries.
    pub const fn space(pcid: Pcid) -> Self {
        Self::matching(Flags::ASID.union(Flags::PCID), edx(pcid))
    }

    /// These pages under this identifier.
    pub const fn user_pages(pcid: Pcid, run: Run, depth: Depth) -> Self {
        let flags = Flags::ASID.union(Flags::PCID).union(Flags::VA);
        Self::matching(flags, edx(pcid)).at(run, depth)
    }

    /// These pages under every identifier, global entries included.
    pub const fn kernel_pages(run: Run, depth: Depth) -> Self {
        let flags = Flags::ASID.union(Flags::GLOBAL).union(Flags::VA);
        Self::matching(flags, 0).at(run, depth)
    }

    /// RAX: VA\[63:12\] and the flags.
    pub const fn rax(&self) -> u64 {
        self.rax
    }

    /// ECX: the number of addresses less one in 15:0, their distance in 31.
    pub const fn ecx(&self) -> u32 {
        self.ecx
    }

    /// EDX: ASID\[15:0\], PCID\[27:16\].
    pub const fn edx(&self) -> u32 {
        self.edx
    }

    const fn matching(flags: Flags, edx: u32) -> Self {
        Self {
            rax: flags.bits(),
            ecx: 0,
            edx,
        }
    }

    /// Upper-level entries are kept where none of them has changed.
    const fn at(mut self, run: Run, depth: Depth) -> Self {
        self.rax |= run.base().raw() & !0xfff;
        if matches!(depth, Depth::Leaf) {
            self.rax |= Flags::FINAL_ONLY.bits();
        }
        self.ecx = run.extra() as u32;
        if matches!(run.stride(), Stride::Mib2) {
            self.ecx |= STRIDE_2M;
        }
        self
    }
}

const fn edx(pcid: Pcid) -> u32 {
    (pcid.number() as u32) << PCID_SHIFT
}
