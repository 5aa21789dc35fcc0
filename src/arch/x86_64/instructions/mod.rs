//! One method for each privileged instruction that the x86-64 room uses, and for the barrier and CPUID.
//!
//! Nothing else in the crate knows whether an instruction is executed, recorded or simulated. Operands are raw registers,
//! encoded by [`operand`](super::operand).

#[cfg(target_arch = "x86_64")]
mod asm;
#[cfg(target_arch = "x86_64")]
pub use asm::Asm;

/// EAX, EBX, ECX and EDX, as CPUID leaves them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidAnswer {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// The x86-64 instructions behind the flushes.
///
/// # Implementation safety
/// Memory is freed on the strength of these instructions. Implementors promise that each method executes exactly the
/// instruction of its name, in program order with the caller's loads and stores as the architecture orders them (the
/// compiler moves no memory access across any of them but CPUID), or that nothing but a test relies on the implementor.
///
/// # Context
/// Privilege level 0. References are to the Intel SDM, volumes 2 and 3A, and to the AMD APM, volume 3, for INVLPGB and TLBSYNC. INVPCID,
/// INVLPGB and TLBSYNC are undefined where CPUID does not announce them.
pub unsafe trait Instructions: Sync {
    /// MFENCE: earlier stores are visible to every CPU and its walker before any later load or store.
    fn mfence(&self);

    /// INVLPG: drops this CPU's entries of the page that holds `addr`, under the current PCID, global ones included, and all
    /// paging-structure caches of the current PCID. Serialises.
    fn invlpg(&self, addr: u64);

    /// INVPCID: what it drops on this CPU depends on `kind`, 0 to 3; the descriptor is the PCID, then the address. Serialises.
    fn invpcid(&self, kind: u64, descriptor: [u64; 2]);

    /// MOV from CR3: the root that is loaded, and its PCID.
    fn read_cr3(&self) -> u64;

    /// MOV to CR3: loads a root; drops this CPU's non-global entries of its PCID unless bit 63 is set. Serialises.
    fn write_cr3(&self, value: u64);

    /// MOV from CR4.
    fn read_cr4(&self) -> u64;

    /// MOV to CR4: where it changes PGE, drops everything this CPU holds, under every PCID. Serialises.
    fn write_cr4(&self, value: u64);

    /// INVLPGB: begins an invalidation on every CPU.
    fn invlpgb(&self, rax: u64, ecx: u32, edx: u32);

    /// TLBSYNC: waits until every INVLPGB of this CPU is complete on every CPU.
    fn tlbsync(&self);

    /// CPUID: what this CPU says of itself.
    fn cpuid(&self, leaf: u32, subleaf: u32) -> CpuidAnswer;
}
