//! What a VT-d unit of the model can be asked to be.

/// What a unit implements, and which liberties it takes: the capability registers follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VtdOptions {
    /// Device TLBs (ECAP.DT). Without it, descriptors of types 3 and 8 are invalid.
    pub device_tlbs: bool,
    /// A device TLB is told only after every earlier invalidation of the unit's own TLB is done. Without it, a wait descriptor with
    /// FN has to stand between.
    pub orders_device_tlbs: bool,
    /// Entries that are not present are cached too (CAP.CM).
    pub caching_mode: bool,
    /// Stores to tables wait in a buffer until it is flushed (CAP.RWBF).
    pub write_buffer: bool,
    /// Root, context and PASID tables are read coherently (ECAP.C and SMPWC). Without it, what was not cleaned is not seen.
    pub coherent: bool,
    /// A cached entry that does not allow a write is walked again before the write faults.
    pub rewalks: bool,
    /// Descriptors of types 3 and 8 name the physical function (ECAP.DIT). Without it, the field is reserved.
    pub throttles: bool,
    /// A wait descriptor may drain page requests (ECAP.PDS). Without it, the bit is reserved.
    pub page_drain: bool,
    /// A wait descriptor with neither a status write nor an interrupt is legal; QEMU up to 10 refuses it.
    pub bare_fences: bool,
    /// The largest address mask (CAP.MAMV).
    pub mamv: u8,
    /// MAMV bounds descriptors of type 6 as well.
    pub bounds_pasid_masks: bool,
    /// Bits of a PASID (ECAP.PSS), 1 to 20.
    pub pasid_bits: u8,
    /// Five levels (CAP.FL5LP).
    pub five_levels: bool,
    /// Clearing FSTS.IQE lets fetching go on. Without it, so does the next write of the tail alone, as in QEMU.
    pub resumes_on_clear: bool,
    /// Polls that pass before a device TLB that does not answer counts as timed out.
    pub device_timeout: u32,
}

impl Default for VtdOptions {
    fn default() -> Self {
        Self {
            device_tlbs: true,
            orders_device_tlbs: true,
            caching_mode: false,
            write_buffer: false,
            coherent: true,
            rewalks: false,
            throttles: false,
            page_drain: true,
            bare_fences: true,
            mamv: 18,
            bounds_pasid_masks: true,
            pasid_bits: 20,
            five_levels: true,
            resumes_on_clear: true,
            device_timeout: 8,
        }
    }
}
