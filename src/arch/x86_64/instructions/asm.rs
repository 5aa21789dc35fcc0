//! The instructions themselves.
//!
//! No barrier and no invalidation is `nomem`, `readonly` or `pure`: the compiler must neither move page-table stores and later
//! accesses across one, nor merge two of them. Moves to and from control registers leave the flags undefined (Intel SDM Vol 2B,
//! "MOV, Move to/from Control Registers"), so none of them is `preserves_flags`. INVLPGB and TLBSYNC are spelt in bytes, so that they assemble for targets that
//! do not promise them.

use super::{CpuidAnswer, Instructions};
use core::arch::asm;

/// Executes the instructions on the CPU at hand.
///
/// Constructing it is harmless; its methods fault above privilege level 0.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asm;

// SAFETY: each method is the instruction of its name; `cargo xtask disasm` compares the machine words with the manual's.
unsafe impl Instructions for Asm {
    #[inline(always)]
    fn mfence(&self) {
        // SAFETY: orders accesses; touches no memory.
        unsafe { asm!("mfence", options(nostack, preserves_flags)) }
    }

    #[inline(always)]
    fn invlpg(&self, addr: u64) {
        // SAFETY: drops translations that the walker fetches again; does not access the address.
        unsafe { asm!("invlpg [{}]", in(reg) addr, options(nostack, preserves_flags)) }
    }

    #[inline(always)]
    fn invpcid(&self, kind: u64, descriptor: [u64; 2]) {
        // SAFETY: drops translations that the walker fetches again; reads the descriptor, which lives on this stack.
        unsafe {
            asm!("invpcid {}, [{}]", in(reg) kind, in(reg) &descriptor, options(nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn read_cr3(&self) -> u64 {
        let value;
        // SAFETY: reading CR3 has no effect. Not `nomem`: it stays on its side of the loading of a root.
        unsafe { asm!("mov {}, cr3", out(reg) value, options(nostack)) }
        value
    }

    #[inline(always)]
    fn write_cr3(&self, value: u64) {
        // SAFETY: the value names the root that is loaded already, under a PCID whose entries are its own.
        unsafe { asm!("mov cr3, {}", in(reg) value, options(nostack)) }
    }

    #[inline(always)]
    fn read_cr4(&self) -> u64 {
        let value;
        // SAFETY: reading CR4 has no effect.
        unsafe { asm!("mov {}, cr4", out(reg) value, options(nostack)) }
        value
    }

    #[inline(always)]
    fn write_cr4(&self, value: u64) {
        // SAFETY: the value differs from what was read in PGE alone, or is what was read.
        unsafe { asm!("mov cr4, {}", in(reg) value, options(nostack)) }
    }

    #[inline(always)]
    fn invlpgb(&self, rax: u64, ecx: u32, edx: u32) {
        // SAFETY: drops translations that the walkers fetch again; touches no memory.
        unsafe {
            asm!(
                ".byte 0x0f, 0x01, 0xfe",
                in("rax") rax, in("ecx") ecx, in("edx") edx,
                options(nostack, preserves_flags)
            );
        }
    }

    #[inline(always)]
    fn tlbsync(&self) {
        // SAFETY: waits; touches no memory.
        unsafe { asm!(".byte 0x0f, 0x01, 0xff", options(nostack, preserves_flags)) }
    }

    #[inline(always)]
    fn cpuid(&self, leaf: u32, subleaf: u32) -> CpuidAnswer {
        let (eax, ebx, ecx, edx);
        // SAFETY: CPUID only answers. RBX is the compiler's own, so it is put back.
        unsafe {
            asm!(
                "mov {saved:r}, rbx",
                "cpuid",
                "xchg {saved:r}, rbx",
                saved = out(reg) ebx,
                inout("eax") leaf => eax,
                inout("ecx") subleaf => ecx,
                out("edx") edx,
                options(nomem, nostack, preserves_flags)
            );
        }
        CpuidAnswer { eax, ebx, ecx, edx }
    }
}
