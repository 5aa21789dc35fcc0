//! The operands of INVPCID and INVLPGB, taken apart.

use super::state::CpuFeatures;
use crate::tlb::{Pages, WalkCaches, X86Scope};

/// Why an operand is not executed as it was meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The CPU faults.
    Faults,
    /// Entries of guests match as well.
    ReachesGuests(X86Scope),
}

/// One page and nothing else.
const fn one(va: u64) -> Pages {
    Pages {
        first: va,
        count: 1,
        stride: 0x1000,
    }
}

/// INVLPG: one page under the current PCID and where it is global, and every walk cache of the PCID (Intel SDM Vol 3A 4.10.4.1).
pub(super) const fn invlpg(pcid: u32, va: u64) -> X86Scope {
    X86Scope {
        pcid: Some(pcid),
        pages: Some(one(va)),
        globals: true,
        walk_caches: WalkCaches::All,
    }
}

/// Everything of one PCID, or of all where there is none named, but global entries.
pub(super) const fn space(pcid: Option<u32>) -> X86Scope {
    X86Scope {
        pcid,
        pages: None,
        globals: false,
        walk_caches: WalkCaches::All,
    }
}

pub(super) const EVERYTHING: X86Scope = X86Scope {
    globals: true,
    ..space(None)
};

/// A page fault drops what it came from (Intel SDM Vol 3A 4.10.4.1).
pub(super) const fn fault(pcid: u32, va: u64) -> X86Scope {
    X86Scope {
        walk_caches: WalkCaches::OfPages,
        ..invlpg(pcid, va)
    }
}

/// INVPCID: the descriptor is PCID\[11:0\], zeros, and the address (Intel SDM Vol 2A, "INVPCID"). By address, walk caches may stay.
pub(super) fn invpcid(kind: u64, [low, va]: [u64; 2], uses_pcids: bool) -> Result<X86Scope, Wrong> {
    let pcid = (low & 0xfff) as u32;
    let canonical = va >> 47 == 0 || va >> 47 == 0x1_ffff;
    if low >> 12 != 0 || (kind < 2 && pcid != 0 && !uses_pcids) || (kind == 0 && !canonical) {
        return Err(Wrong::Faults);
    }
    match kind {
        0 => Ok(X86Scope {
            pages: Some(one(va)),
            walk_caches: WalkCaches::None,
            ..space(Some(pcid))
        }),
        1 => Ok(space(Some(pcid))),
        2 => Ok(EVERYTHING),
        3 => Ok(space(None)),
        _ => Err(Wrong::Faults),
    }
}

/// INVLPGB (AMD APM Vol 3). RAX: 0 VA valid, 1 PCID valid, 2 ASID valid, 3 global entries too, 4 final translations alone, 5 nested ones,
/// 11:6 reserved, 63:12 VA. ECX: 15:0 count less one, 31 stride of 2 MiB, rest reserved. EDX: 15:0 ASID, 27:16 PCID, rest reserved.
pub(super) fn invlpgb(
    rax: u64,
    ecx: u32,
    edx: u32,
    features: &CpuFeatures,
) -> Result<Option<X86Scope>, Wrong> {
    let Some(max) = features.invlpgb else {
        return Err(Wrong::Faults);
    };
    let extra = ecx & 0xffff;
    let has_reserved = rax & 0xfc0 != 0 || ecx & 0x7fff_0000 != 0 || edx & 0xf000_0000 != 0;
    if has_reserved || extra > max.into() {
        return Err(Wrong::Faults);
    }
    let flag = |bit: u32| rax >> bit & 1 != 0;
    let pages = Pages {
        first: rax & !0xfff,
        count: u64::from(extra) + 1,
        stride: if ecx >> 31 == 0 { 0x1000 } else { 0x20_0000 },
    };
    let scope = X86Scope {
        pcid: flag(1).then_some(edx >> 16 & 0xfff),
        pages: flag(0).then_some(pages),
        globals: flag(3),
        walk_caches: match (flag(4), flag(0)) {
            (true, _) => WalkCaches::None,
            (false, true) => WalkCaches::OfPages,
            (false, false) => WalkCaches::All,
        },
    };
    match (flag(2), edx & 0xffff) {
        (false, _) => Err(Wrong::ReachesGuests(scope)),
        (true, 0) => Ok(Some(scope)),
        // A guest's: nothing of the host is bound to go.
        (true, _) => Ok(None),
    }
}
