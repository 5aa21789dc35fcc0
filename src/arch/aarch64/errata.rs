//! CPUs whose broadcast invalidations do not wait for every access through the entry that they remove.
//!
//! The cure is the same for all of them: after the completing DSB, one more TLBI of any kind and one more DSB. Once per
//! completion is enough, for the invalidation itself is not at fault.

use crate::sync::{AtomicU32, Ordering, const_unless_loom};

/// A part, and the first and last of its revisions that are affected, as `variant << 4 | revision`: r3p1 is 0x31.
struct Affected {
    implementer: u64,
    part: u64,
    /// The bits of `part` that count.
    part_mask: u64,
    first: u64,
    last: u64,
}

const ARM: u64 = 0x41;
const NVIDIA: u64 = 0x4e;
const QUALCOMM: u64 = 0x51;
const MICROSOFT: u64 = 0x6d;

/// Sources: Linux' `cputype.h` for part numbers and its `arm64_repeat_tlbi_list` (`cpu_errata.c`) for revisions; second source for the
/// parts LLVM's list of host CPUs (`TargetParser/Host.cpp`), which does not name Kryo, Falkor v1 and Cobalt, and for the errata
/// Linux' `silicon-errata.rst` and Kconfig texts.
#[rustfmt::skip]
const REPEAT_TLBI: &[Affected] = &[
    // 2441007, all revisions
    every(ARM, 0xd05), // Cortex-A55
    // 2441009, r0p0 to r1p1
    revisions(ARM, 0xd46, 0x00, 0x11), // Cortex-A510
    // 4118414 (CVE-2025-10263), all revisions; on Cortex-A76 it includes 1286807
    every(ARM, 0xd0b), // Cortex-A76
    every(ARM, 0xd0e), // Cortex-A76AE
    every(ARM, 0xd0d), // Cortex-A77
    every(ARM, 0xd41), // Cortex-A78
    every(ARM, 0xd42), // Cortex-A78AE
    every(ARM, 0xd4b), // Cortex-A78C
    every(ARM, 0xd47), // Cortex-A710
    every(ARM, 0xd44), // Cortex-X1
    every(ARM, 0xd4c), // Cortex-X1C
    every(ARM, 0xd48), // Cortex-X2
    every(ARM, 0xd4e), // Cortex-X3
    every(ARM, 0xd82), // Cortex-X4
    every(ARM, 0xd85), // Cortex-X925
    every(ARM, 0xd0c), // Neoverse-N1
    every(ARM, 0xd49), // Neoverse-N2
    every(ARM, 0xd40), // Neoverse-V1
    every(ARM, 0xd4f), // Neoverse-V2
    every(ARM, 0xd84), // Neoverse-V3
    every(ARM, 0xd83), // Neoverse-V3AE
    every(ARM, 0xd8c), // C1-Ultra
    every(ARM, 0xd90), // C1-Premium
    every(NVIDIA, 0x010), // Olympus
    every(MICROSOFT, 0xd49), // Azure Cobalt 100
    // Qualcomm 1009
    revisions(QUALCOMM, 0x800, 0x00, 0x00), // Falkor v1 r0p0
    Affected { part_mask: 0xf00, ..every(QUALCOMM, 0x200) }, // Kryo
    // 1286807 as it appears in the core's derivative
    revisions(QUALCOMM, 0x804, 0xce, 0xfe), // Kryo 4xx Gold
];

const fn every(implementer: u64, part: u64) -> Affected {
    revisions(implementer, part, 0x00, 0xff)
}

const fn revisions(implementer: u64, part: u64, first: u64, last: u64) -> Affected {
    Affected {
        implementer,
        part,
        part_mask: 0xfff,
        first,
        last,
    }
}

impl Affected {
    /// MIDR_EL1 (Arm ARM D24.2): Implementer\[31:24\], Variant\[23:20\], PartNum\[15:4\], Revision\[3:0\].
    const fn includes(&self, midr: u64) -> bool {
        let revision = (midr >> 20 & 0xf) << 4 | midr & 0xf;
        midr >> 24 & 0xff == self.implementer
            && midr >> 4 & self.part_mask == self.part
            && self.first <= revision
            && revision <= self.last
    }
}

/// Whether this CPU's broadcasts need the repeat.
pub(super) fn repeats_tlbi(midr: u64) -> bool {
    REPEAT_TLBI.iter().any(|affected| affected.includes(midr))
}

/// The union over all CPUs.
#[derive(Debug)]
pub(super) struct Errata(AtomicU32);

impl Errata {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// Adds this CPU's. The caller orders the store before the CPU's first walk with a DSB.
    pub(super) fn count(&self, midr: u64) {
        if repeats_tlbi(midr) {
            self.0.store(1, Ordering::SeqCst);
        }
    }

    /// Read after the completing DSB: an affected CPU that the reader does not see yet has then made no walk before that
    /// DSB, and so sees the tables as they are now.
    pub(super) fn repeat_tlbi(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}
