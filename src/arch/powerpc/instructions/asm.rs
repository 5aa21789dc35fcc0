//! The instructions themselves.
//!
//! No block is `nomem`, `readonly` or `pure`: the compiler must neither move page-table stores and later accesses across
//! a barrier or an invalidation, nor merge two of them. TLBIE, TLBIEL and SLBIA are spelt as words, because assemblers know them with
//! other operands for other versions of the ISA; RB and RS are therefore always r3 and r4.

use super::Instructions;
use core::arch::asm;

/// Executes the instructions on the CPU at hand.
///
/// Constructing it is harmless; its methods are illegal in problem state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asm;

macro_rules! barrier {
    ($name:ident, $text:literal) => {
        #[inline(always)]
        fn $name(&self) {
            // SAFETY: orders accesses or drops translations that the walker fetches again; touches no memory.
            unsafe { asm!($text, options(nostack, preserves_flags)) }
        }
    };
}

/// Primary opcode 31; RS in bits 6:10, RIC in 12:13, PRS in 14, R in 15, RB in 16:20, extended opcode in 21:30.
macro_rules! invalidation {
    ($name:ident, $opcode:literal, ric $ric:literal, prs $prs:literal) => {
        #[inline(always)]
        fn $name(&self, rb: u64, rs: u64) {
            // SAFETY: drops translations that the tables still hold, or that the caller has ended; touches no memory.
            unsafe {
                asm!(
                    ".long {word}",
                    word = const 31 << 26 | 4 << 21 | $ric << 18 | $prs << 17 | 1 << 16 | 3 << 11 | $opcode << 1,
                    in("r3") rb, in("r4") rs,
                    options(nostack, preserves_flags)
                );
            }
        }
    };
}

// SAFETY: each method is the instruction of its name; `cargo xtask disasm` compares the machine words with the manual's.
unsafe impl Instructions for Asm {
    barrier!(ptesync, "ptesync");
    barrier!(sync, "sync");
    barrier!(eieio, "eieio");
    barrier!(tlbsync, "tlbsync");
    barrier!(isync, "isync");
    barrier!(slbia_ih3, ".long 0x7c6003e4");
    barrier!(slbia_ih7, ".long 0x7ce003e4");
    barrier!(cp_abort, ".long 0x7c00068c");

    invalidation!(tlbie_ric0_prs1, 306, ric 0, prs 1);
    invalidation!(tlbie_ric1_prs1, 306, ric 1, prs 1);
    invalidation!(tlbie_ric2_prs1, 306, ric 2, prs 1);
    invalidation!(tlbie_ric0_prs0, 306, ric 0, prs 0);
    invalidation!(tlbie_ric1_prs0, 306, ric 1, prs 0);
    invalidation!(tlbie_ric2_prs0, 306, ric 2, prs 0);
    invalidation!(tlbiel_ric0_prs1, 274, ric 0, prs 1);
    invalidation!(tlbiel_ric1_prs1, 274, ric 1, prs 1);
    invalidation!(tlbiel_ric2_prs1, 274, ric 2, prs 1);
    invalidation!(tlbiel_ric0_prs0, 274, ric 0, prs 0);
    invalidation!(tlbiel_ric2_prs0, 274, ric 2, prs 0);

    #[inline(always)]
    fn pvr(&self) -> u32 {
        let value: u64;
        // SAFETY: an identification register; reading it has no effect.
        unsafe { asm!("mfpvr {}", out(reg) value, options(nomem, nostack, preserves_flags)) }
        value as u32
    }
}
