//! Special-purpose registers by their numbers (Power ISA 3.0B, Book III, "Move To/From System Register Instructions"), and the machine state.

use core::arch::asm;

pub(crate) const DSISR: u32 = 18;
pub(crate) const DAR: u32 = 19;
pub(crate) const DECREMENTER: u32 = 22;
pub(crate) const PIDR: u32 = 48;
pub(crate) const TIME_BASE: u32 = 268;
/// SPRG3, which is software's: this CPU's number.
pub(crate) const CPU_NUMBER: u32 = 275;
pub(crate) const LPCR: u32 = 318;
pub(crate) const LPIDR: u32 = 319;
pub(crate) const PTCR: u32 = 464;
pub(crate) const HID0: u32 = 1008;

/// MSR.HV: nobody stands above this kernel.
pub(crate) const HYPERVISOR: u64 = 1 << 60;
/// MSR.EE: interrupts are taken.
pub(crate) const EXTERNAL: u64 = 1 << 15;
/// MSR.ME, IR, DR, RI: machine checks are taken, instructions and data are translated, an interrupt can be returned from.
pub(crate) const TRANSLATED: u64 = 1 << 12 | 1 << 5 | 1 << 4 | 1 << 1;

/// Reads a register.
pub(crate) fn read<const SPR: u32>() -> u64 {
    let value: u64;
    // SAFETY: reading none of the registers above has an effect.
    unsafe { asm!("mfspr {}, {}", out(reg) value, const SPR, options(nostack, preserves_flags)) };
    value
}

/// Writes a register, and has what follows see it.
///
/// # Safety
/// The kernel can go on with this value.
pub(crate) unsafe fn write<const SPR: u32>(value: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("mtspr {}, {}", "isync", const SPR, in(reg) value, options(nostack, preserves_flags));
    }
}

/// Reads the machine state.
pub(crate) fn machine_state() -> u64 {
    let value: u64;
    // SAFETY: reads a register; the order with memory is kept.
    unsafe { asm!("mfmsr {}", out(reg) value, options(nostack, preserves_flags)) };
    value
}

/// Whether this kernel is the hypervisor.
pub(crate) fn is_hypervisor() -> bool {
    machine_state() & HYPERVISOR != 0
}
