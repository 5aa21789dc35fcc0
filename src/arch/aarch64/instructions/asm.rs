//! The instructions themselves.
//!
//! No block is `nomem`, `readonly` or `pure`: the compiler must neither move page-table stores and later accesses across
//! a barrier or an invalidation, nor merge two of them. TLBI is spelt as the SYS instruction that it is an alias of, so
//! that the range forms assemble for targets that do not promise FEAT_TLBIRANGE.

use super::Instructions;
use core::arch::asm;

/// Executes the instructions on the CPU at hand.
///
/// Constructing it is harmless; its methods are undefined instructions below EL1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Asm;

macro_rules! operation {
    ($name:ident, $text:literal, operand) => {
        #[inline(always)]
        fn $name(&self, operand: u64) {
            // SAFETY: drops translations that the tables still hold, or that the caller has ended; touches no memory.
            unsafe { asm!($text, in(reg) operand, options(nostack, preserves_flags)) }
        }
    };
    ($name:ident, $text:literal) => {
        #[inline(always)]
        fn $name(&self) {
            // SAFETY: orders accesses or drops translations that the walker fetches again; touches no memory.
            unsafe { asm!($text, options(nostack, preserves_flags)) }
        }
    };
}

macro_rules! register {
    ($name:ident, $register:literal) => {
        #[inline(always)]
        fn $name(&self) -> u64 {
            let value;
            // SAFETY: an identification register; reading it has no effect.
            unsafe {
                asm!(concat!("mrs {}, ", $register), out(reg) value, options(nomem, nostack, preserves_flags));
            }
            value
        }
    };
}

// SAFETY: each method is the instruction of its name; `cargo xtask disasm` compares the machine words with the manual's.
unsafe impl Instructions for Asm {
    operation!(dsb_ishst, "dsb ishst");
    operation!(dsb_nshst, "dsb nshst");
    operation!(dsb_ish, "dsb ish");
    operation!(dsb_nsh, "dsb nsh");
    operation!(isb, "isb");

    operation!(tlbi_vae1is, "sys #0, c8, c3, #1, {}", operand);
    operation!(tlbi_vale1is, "sys #0, c8, c3, #5, {}", operand);
    operation!(tlbi_vaae1is, "sys #0, c8, c3, #3, {}", operand);
    operation!(tlbi_vaale1is, "sys #0, c8, c3, #7, {}", operand);
    operation!(tlbi_aside1is, "sys #0, c8, c3, #2, {}", operand);
    operation!(tlbi_vmalle1is, "sys #0, c8, c3, #0");
    operation!(tlbi_rvae1is, "sys #0, c8, c2, #1, {}", operand);
    operation!(tlbi_rvale1is, "sys #0, c8, c2, #5, {}", operand);
    operation!(tlbi_rvaae1is, "sys #0, c8, c2, #3, {}", operand);
    operation!(tlbi_rvaale1is, "sys #0, c8, c2, #7, {}", operand);
    operation!(tlbi_vae1, "sys #0, c8, c7, #1, {}", operand);
    operation!(tlbi_vale1, "sys #0, c8, c7, #5, {}", operand);
    operation!(tlbi_vaae1, "sys #0, c8, c7, #3, {}", operand);
    operation!(tlbi_vaale1, "sys #0, c8, c7, #7, {}", operand);
    operation!(tlbi_aside1, "sys #0, c8, c7, #2, {}", operand);
    operation!(tlbi_vmalle1, "sys #0, c8, c7, #0");
    operation!(tlbi_rvae1, "sys #0, c8, c6, #1, {}", operand);
    operation!(tlbi_rvale1, "sys #0, c8, c6, #5, {}", operand);
    operation!(tlbi_rvaae1, "sys #0, c8, c6, #3, {}", operand);
    operation!(tlbi_rvaale1, "sys #0, c8, c6, #7, {}", operand);

    register!(midr, "midr_el1");
    register!(id_aa64mmfr0, "id_aa64mmfr0_el1");
    register!(id_aa64mmfr2, "id_aa64mmfr2_el1");
    register!(id_aa64isar0, "id_aa64isar0_el1");
}
