//! CPUs whose `tlbie` does not do all that it should.
//!
//! Both defects are POWER9's, and both are mended by further invalidations before the closing barriers: one that is not filtered by
//! PID, and a repetition once the first has been seen.

bitflags::bitflags! {
    /// What is wrong.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Defects: u32 {
        /// `tlbie` may leave effective-to-real translations on a thread whose core moves to another PID meanwhile.
        const ERAT = 1 << 0;
        /// `tlbie` may complete before stores through the entry have drained.
        const STORE_QUEUE = 1 << 1;
    }
}

/// A version of the PVR, which of its bits tell the variant, and the first revision without the store-queue defect.
struct Affected {
    variant_mask: u32,
    mended: u32,
}

/// Sources: Linux' `update_tlbie_feature_flag` (`dt_cpu_ftrs.c`) for the variants and revisions; the User's Manual of the POWER9, "Processor
/// Version Register", and QEMU's `cpu-models.h` for how they are coded.
const POWER9: [Affected; 2] = [
    // Nimbus, mended in DD 2.3
    Affected {
        variant_mask: 0xe000,
        mended: 0x203,
    },
    // Cumulus, mended in DD 1.3
    Affected {
        variant_mask: 0xc000,
        mended: 0x103,
    },
];

/// What is wrong with this POWER9. A variant that is not known has everything.
pub(super) fn of_power9(pvr: u32) -> Defects {
    let variant = POWER9
        .iter()
        .find(|affected| pvr & affected.variant_mask == 0);
    let is_mended = variant.is_some_and(|affected| pvr & 0xfff >= affected.mended);
    if is_mended {
        Defects::ERAT
    } else {
        Defects::all()
    }
}
