//! One method for each privileged instruction and barrier that the AArch64 room uses.
//!
//! Nothing else in the crate knows whether an instruction is executed, recorded or simulated. Operands are raw registers,
//! encoded by [`operand`](super::operand).

#[cfg(target_arch = "aarch64")]
mod asm;
#[cfg(target_arch = "aarch64")]
pub use asm::Asm;

/// The privileged AArch64 instructions behind the flushes.
///
/// # Implementation safety
/// Memory is freed on the strength of these instructions. Implementors promise that each method executes exactly the
/// instruction of its name, in program order with the caller's loads and stores as the architecture orders them (the
/// compiler moves no memory access across any of them), or that nothing but a test relies on the implementor.
///
/// # Context
/// "Everywhere" is every CPU of the inner shareable domain. EL1, or EL2 with `HCR_EL2.{E2H,TGE} = {1,1}`, where the `*E1` operations act on the EL2&0 regime (Arm ARM D8.17).
/// Operands are in the form of Arm ARM C5.5. `TLBI R*` is undefined without FEAT_TLBIRANGE.
pub unsafe trait Instructions: Sync {
    /// DSB ISHST: earlier stores are visible to every walker of the inner shareable domain before anything later starts.
    fn dsb_ishst(&self);

    /// DSB NSHST: earlier stores are visible to this CPU's walker before anything later starts.
    fn dsb_nshst(&self);

    /// DSB ISH: this CPU's broadcast invalidations are complete on every CPU of the inner shareable domain.
    fn dsb_ish(&self);

    /// DSB NSH: this CPU's local invalidations are complete.
    fn dsb_nsh(&self);

    /// ISB: later instructions are fetched and translated anew.
    fn isb(&self);

    /// TLBI VAE1IS: entries of one address and ASID, walk caches included, everywhere.
    fn tlbi_vae1is(&self, operand: u64);

    /// TLBI VALE1IS: leaf entries of one address and ASID, everywhere.
    fn tlbi_vale1is(&self, operand: u64);

    /// TLBI VAAE1IS: entries of one address under every ASID, walk caches included, everywhere.
    fn tlbi_vaae1is(&self, operand: u64);

    /// TLBI VAALE1IS: leaf entries of one address under every ASID, everywhere.
    fn tlbi_vaale1is(&self, operand: u64);

    /// TLBI ASIDE1IS: everything tagged with one ASID, everywhere.
    fn tlbi_aside1is(&self, operand: u64);

    /// TLBI VMALLE1IS: everything of this translation regime, everywhere.
    fn tlbi_vmalle1is(&self);

    /// TLBI RVAE1IS: entries of a range of addresses and one ASID, walk caches included, everywhere.
    fn tlbi_rvae1is(&self, operand: u64);

    /// TLBI RVALE1IS: leaf entries of a range of addresses and one ASID, everywhere.
    fn tlbi_rvale1is(&self, operand: u64);

    /// TLBI RVAAE1IS: entries of a range of addresses under every ASID, walk caches included, everywhere.
    fn tlbi_rvaae1is(&self, operand: u64);

    /// TLBI RVAALE1IS: leaf entries of a range of addresses under every ASID, everywhere.
    fn tlbi_rvaale1is(&self, operand: u64);

    /// TLBI VAE1: entries of one address and ASID, walk caches included, on this CPU.
    fn tlbi_vae1(&self, operand: u64);

    /// TLBI VALE1: leaf entries of one address and ASID, on this CPU.
    fn tlbi_vale1(&self, operand: u64);

    /// TLBI VAAE1: entries of one address under every ASID, walk caches included, on this CPU.
    fn tlbi_vaae1(&self, operand: u64);

    /// TLBI VAALE1: leaf entries of one address under every ASID, on this CPU.
    fn tlbi_vaale1(&self, operand: u64);

    /// TLBI ASIDE1: everything tagged with one ASID, on this CPU.
    fn tlbi_aside1(&self, operand: u64);

    /// TLBI VMALLE1: everything of this translation regime, on this CPU.
    fn tlbi_vmalle1(&self);

    /// TLBI RVAE1: entries of a range of addresses and one ASID, walk caches included, on this CPU.
    fn tlbi_rvae1(&self, operand: u64);

    /// TLBI RVALE1: leaf entries of a range of addresses and one ASID, on this CPU.
    fn tlbi_rvale1(&self, operand: u64);

    /// TLBI RVAAE1: entries of a range of addresses under every ASID, walk caches included, on this CPU.
    fn tlbi_rvaae1(&self, operand: u64);

    /// TLBI RVAALE1: leaf entries of a range of addresses under every ASID, on this CPU.
    fn tlbi_rvaale1(&self, operand: u64);

    /// MIDR_EL1: which CPU this is.
    fn midr(&self) -> u64;

    /// ID_AA64MMFR0_EL1.
    fn id_aa64mmfr0(&self) -> u64;

    /// ID_AA64MMFR2_EL1.
    fn id_aa64mmfr2(&self) -> u64;

    /// ID_AA64ISAR0_EL1.
    fn id_aa64isar0(&self) -> u64;
}
