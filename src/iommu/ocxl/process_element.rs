//! Entries of the Scheduled Process Area (SPA): 128 bytes each, big-endian. Layout alone: no behaviour.
//!
//! Sources: Linux `drivers/misc/ocxl/ocxl_internal.h` (`struct ocxl_process_element`) and `link.c` (`SPA_CFG_*`, `SPA_PE_VALID`);
//! checked against the process element of CAPI 2 in `drivers/misc/cxl/cxl.h` (`struct cxl_process_element`, `CXL_PSL_SR_An_*`), which has
//! state, LPID, thread, PID, AMR and software state in the same places and no PASID.

use super::config::{Context, Process};
use bitflags::bitflags;

/// Bytes of one element.
pub const BYTES: usize = 128;
/// 64-bit words of one element.
pub const WORDS: usize = BYTES / 8;

/// The word of the configuration state.
pub const CONFIG_STATE: usize = 0;
/// PASID in bits 63:44, and the function in bits 31:16.
pub const OWNER: usize = 1;
/// LPID in bits 31:0.
pub const PARTITION: usize = 6;
/// Thread in bits 63:32, PID in bits 31:0.
pub const PROCESS: usize = 7;
/// The Authority Mask Register.
pub const AMR: usize = 13;
/// The software state in bits 31:0.
pub const SOFTWARE_STATE: usize = 15;

/// Software state: the element may be used.
pub const VALID: u64 = 0x8000_0000;

const PASID_SHIFT: u32 = 32 + 12;
const FUNCTION_SHIFT: u32 = 16;
const THREAD_SHIFT: u32 = 32;

bitflags! {
    /// The configuration state: the CPU's state (MSR, LPCR) that the walk is to be made with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ConfigState: u64 {
        /// SF, bit 0: addresses of 64 bits.
        const SIXTY_FOUR = 1 << 63;
        /// HV, bit 3: in the hypervisor's partition.
        const HYPERVISOR = 1 << 60;
        /// XLAT, bits 5:6: 3, radix tables under radix tables.
        const RADIX = 0b11 << 57;
        /// PR, bit 49: problem state.
        const PROBLEM = 1 << 14;
        /// TC, bit 54: LPCR.TC.
        const TAG_CHECKS = 1 << 9;
        /// DR, bit 59: addresses are translated.
        const TRANSLATED = 1 << 4;
    }
}

impl ConfigState {
    /// A process of the kernel that is the hypervisor.
    pub fn of(process: &Process) -> Self {
        let mut state = Self::HYPERVISOR | Self::RADIX | Self::PROBLEM | Self::TRANSLATED;
        state.set(Self::SIXTY_FOUR, process.wide);
        state.set(Self::TAG_CHECKS, process.tag_checks);
        state
    }
}

/// An element, but for its software state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessElement([u64; WORDS]);

impl ProcessElement {
    /// Lets a context act for a process.
    pub fn new(process: &Process, context: &Context) -> Self {
        let mut words = [0; WORDS];
        words[CONFIG_STATE] = ConfigState::of(process).bits();
        words[OWNER] = u64::from(context.pasid.raw()) << PASID_SHIFT
            | u64::from(context.function.0) << FUNCTION_SHIFT;
        words[PARTITION] = process.lpid.into();
        words[PROCESS] = u64::from(context.thread) << THREAD_SHIFT | u64::from(process.pid.raw());
        words[AMR] = context.amr;
        Self(words)
    }

    /// The words as numbers; in memory each is big-endian.
    pub const fn words(&self) -> &[u64; WORDS] {
        &self.0
    }
}
