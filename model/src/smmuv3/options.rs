//! What an SMMU of the model can be asked to be.

/// What an SMMU implements: the ID registers follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmmuOptions {
    /// Stage 2 (IDR0.S2P). Without it, VMIDs are RES0 and stage-2 commands illegal.
    pub stage2: bool,
    /// EL2 translation regimes (IDR0.Hyp).
    pub hyp: bool,
    /// Device TLBs (IDR0.ATS).
    pub ats: bool,
    /// CMD_SYNC may end with a message (IDR0.MSI).
    pub msi: bool,
    /// CMD_SYNC may end with an event (IDR0.SEV).
    pub sev: bool,
    /// It snoops the CPUs' broadcasts (IDR0.BTM).
    pub btm: bool,
    /// 16-bit ASIDs (IDR0.ASID16).
    pub asid16: bool,
    /// Range invalidation and level hints (IDR3.RIL).
    pub ril: bool,
    /// 52-bit addresses with small granules (IDR5.DS): a wider SCALE.
    pub ds: bool,
    /// log2 of the largest command queue (IDR1.CMDQS), at most 19.
    pub cmdqs: u8,
    /// Bits of a StreamID (IDR1.SIDSIZE).
    pub sid_bits: u8,
    /// Bits of a SubstreamID (IDR1.SSIDSIZE); 0 without substreams.
    pub ssid_bits: u8,
    /// Polls that pass before a device TLB that does not answer counts as timed out.
    pub atc_timeout: u32,
    /// How often a CMD_SYNC that stands after an invalidation without an answer fails before it is let through. The manual
    /// lets hardware do either; one failure and then success is the trap for software that simply tries again.
    pub atc_failures: u32,
}

impl Default for SmmuOptions {
    fn default() -> Self {
        Self {
            stage2: false,
            hyp: false,
            ats: true,
            msi: true,
            sev: true,
            btm: false,
            asid16: true,
            ril: true,
            ds: false,
            cmdqs: 8,
            sid_bits: 16,
            ssid_bits: 8,
            atc_timeout: 8,
            atc_failures: 1,
        }
    }
}
