//! Context entries: 256 bits in scalable mode, 128 in legacy mode (VT-d 9.3 and 9.4; Linux `context_set_*`; QEMU `VTD_CONTEXT_ENTRY_*` and
//! `VTD_SM_CONTEXT_*`).

use super::config::{Levels, TranslationConfig};
use super::ids::DomainId;

const PRESENT: u64 = 1 << 0;
/// FPD, legacy mode: faults are not recorded.
const QUIET: u64 = 1 << 1;

/// The words of a context entry that are not zero. In scalable mode the second would hold RID_PASID, which stays 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContextEntry {
    pub(super) first: u64,
    pub(super) second: u64,
}

impl ContextEntry {
    /// No access at all, translated ones included.
    pub(super) const ABSENT: Self = Self {
        first: 0,
        second: 0,
    };

    /// The same in legacy mode for a device that may not have stopped: its faults are not recorded.
    pub(super) const SILENT: Self = Self {
        first: QUIET,
        second: 0,
    };

    /// Translates by this PASID table.
    pub(super) const fn scalable(
        directory: u64,
        pasid_bits: u8,
        device_tlb: bool,
        page_requests: bool,
    ) -> Self {
        const DEVICE_TLB: u64 = 1 << 2;
        const PASIDS: u64 = 1 << 3;
        const PAGE_REQUESTS: u64 = 1 << 4;
        // PDTS, bits 11:9: the directory has `1 << (PDTS + 7)` entries, each for 64 PASIDs.
        let size = pasid_bits.saturating_sub(13) as u64;
        let mut first = directory | size << 9 | PRESENT;
        if device_tlb {
            first |= DEVICE_TLB;
        }
        if pasid_bits > 0 {
            first |= PASIDS;
        }
        if page_requests {
            first |= PAGE_REQUESTS;
        }
        Self { first, second: 0 }
    }

    /// Translates by this second-stage table, as a domain. The values have been checked.
    pub(super) const fn legacy(
        translation: &TranslationConfig,
        domain: DomainId,
        device_tlb: bool,
    ) -> Self {
        // TT, bits 3:2: 0 refuses translated requests, 1 serves device TLBs.
        let kind = (device_tlb as u64) << 2;
        Self {
            first: translation.root.raw() | kind | PRESENT,
            // AW, bits 66:64, and the domain, bits 87:72.
            second: width_code(translation.levels) | (domain.0 as u64) << 8,
        }
    }

    pub(super) const fn is_present(self) -> bool {
        self.first & PRESENT != 0
    }

    /// P cleared and the rest kept, in legacy mode: the unit may still have to read what the invalidations name.
    pub(super) const fn silenced(self) -> Self {
        Self {
            first: (self.first & !PRESENT) | QUIET,
            ..self
        }
    }
}

/// AW of a second-stage table, which is also its bit in CAP.SAGAW.
pub(super) const fn width_code(levels: Levels) -> u64 {
    match levels {
        Levels::Three => 1,
        Levels::Four => 2,
        Levels::Five => 3,
    }
}
