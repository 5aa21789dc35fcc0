//! One method for each privileged instruction and barrier that the POWER room uses.
//!
//! Nothing else in the crate knows whether an instruction is executed, recorded or simulated. Operands are the raw registers RB
//! and RS, encoded by [`operand`](super::operand); RIC and PRS are part of the instruction, and so of a method's name. R is 1, radix, in all.

#[cfg(target_arch = "powerpc64")]
mod asm;
#[cfg(target_arch = "powerpc64")]
pub use asm::Asm;

/// The privileged POWER instructions behind the flushes.
///
/// # Implementation safety
/// Memory is freed on the strength of these instructions. Implementors promise that each method executes exactly the
/// instruction of its name, in program order with the caller's loads and stores as the architecture orders them (the
/// compiler moves no memory access across any of them but `pvr`), or that nothing but a test relies on the implementor.
///
/// # Context
/// Privileged state, LPCR.HR = 1. References are to Power ISA 3.0B and 3.1B, Book III 6.9.3 (translation lookaside buffer management) and
/// Book II 4.6 (barriers). In a guest `tlbie` and `tlbsync` are legal only with LPCR.GTSE = 1, forms with PRS = 0 never.
pub unsafe trait Instructions: Sync {
    /// PTESYNC: earlier stores, to page tables among them, are visible to every thread and its walker before anything later
    /// starts; this thread's `tlbiel`, and the `tlbie` before a `tlbsync`, are complete.
    fn ptesync(&self);

    /// SYNC (heavyweight): earlier accesses are performed before later ones.
    fn sync(&self);

    /// EIEIO: orders `tlbie` before the `tlbsync` that follows.
    fn eieio(&self);

    /// TLBSYNC: with the `ptesync` after it, waits until the `tlbie` of this thread are complete on every thread and on nest
    /// MMUs that snoop.
    fn tlbsync(&self);

    /// ISYNC: later instructions are fetched and translated anew.
    fn isync(&self);

    /// TLBIE, RIC = 0, PRS = 1: process-scoped translations, everywhere; walk caches stay.
    fn tlbie_ric0_prs1(&self, rb: u64, rs: u64);

    /// TLBIE, RIC = 1, PRS = 1: process-scoped page-walk caches, everywhere.
    fn tlbie_ric1_prs1(&self, rb: u64, rs: u64);

    /// TLBIE, RIC = 2, PRS = 1: process-scoped translations, page-walk caches and process-table entries, everywhere.
    fn tlbie_ric2_prs1(&self, rb: u64, rs: u64);

    /// TLBIE, RIC = 0, PRS = 0: partition-scoped translations, everywhere; walk caches stay.
    fn tlbie_ric0_prs0(&self, rb: u64, rs: u64);

    /// TLBIE, RIC = 1, PRS = 0: partition-scoped page-walk caches, everywhere.
    fn tlbie_ric1_prs0(&self, rb: u64, rs: u64);

    /// TLBIE, RIC = 2, PRS = 0: partition-scoped translations, page-walk caches and partition-table entries, everywhere.
    fn tlbie_ric2_prs0(&self, rb: u64, rs: u64);

    /// TLBIEL, RIC = 0, PRS = 1: process-scoped translations of this thread.
    fn tlbiel_ric0_prs1(&self, rb: u64, rs: u64);

    /// TLBIEL, RIC = 1, PRS = 1: process-scoped page-walk caches of this thread.
    fn tlbiel_ric1_prs1(&self, rb: u64, rs: u64);

    /// TLBIEL, RIC = 2, PRS = 1: process-scoped translations, page-walk caches and process-table entries of this thread.
    fn tlbiel_ric2_prs1(&self, rb: u64, rs: u64);

    /// TLBIEL, RIC = 0, PRS = 0: partition-scoped translations of this thread.
    fn tlbiel_ric0_prs0(&self, rb: u64, rs: u64);

    /// TLBIEL, RIC = 2, PRS = 0: partition-scoped translations, page-walk caches and partition-table entries of this thread.
    fn tlbiel_ric2_prs0(&self, rb: u64, rs: u64);

    /// SLBIA, IH = 3: effective-to-real translations (ERAT) of this thread that user-mode addresses filled.
    fn slbia_ih3(&self);

    /// SLBIA, IH = 7: the whole effective-to-real translation cache of this thread.
    fn slbia_ih7(&self);

    /// CP_ABORT: drops a COPY that has not been pasted; ISA 3.0 and 3.1.
    fn cp_abort(&self);

    /// MFPVR: which CPU this is.
    fn pvr(&self) -> u32;
}
