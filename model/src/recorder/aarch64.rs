//! The AArch64 recorder.

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;
use tlb_shootdown::arch::aarch64::instructions::Instructions;

/// One instruction: its name in the assembler's spelling, and the register it was given, if any.
pub type Executed = (&'static str, Option<u64>);

/// The registers by which a CPU says what it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identification {
    /// MIDR_EL1.
    pub midr: u64,
    /// ID_AA64MMFR0_EL1.
    pub mmfr0: u64,
    /// ID_AA64MMFR2_EL1.
    pub mmfr2: u64,
    /// ID_AA64ISAR0_EL1.
    pub isar0: u64,
}

impl Identification {
    /// 16-bit ASIDs, FEAT_TTL, FEAT_TLBIRANGE, FEAT_BBM level 2, no erratum (Cortex-A57's MIDR, 0x411fd070).
    pub const FULL: Self = Self {
        midr: 0x411f_d070,
        mmfr0: 0x20,
        mmfr2: 0x0021_0000_0000_0000,
        isar0: 0x0200_0000_0000_0000,
    };
    /// A Cortex-A57: 16-bit ASIDs and none of the optional features.
    pub const PLAIN: Self = Self {
        midr: 0x411f_d070,
        mmfr0: 0x20,
        mmfr2: 0,
        isar0: 0,
    };
}

/// Records every instruction in the order of execution. One recorder stands for all CPUs that share it.
///
/// Barriers are full fences between host threads as well, so that what is ordered on hardware is ordered here.
#[derive(Debug, Default)]
pub struct Recorder {
    executed: Mutex<Vec<Executed>>,
    midr: AtomicU64,
    mmfr0: AtomicU64,
    mmfr2: AtomicU64,
    isar0: AtomicU64,
}

impl Recorder {
    /// A recorder with nothing recorded, whose CPU is this one.
    pub fn new(identification: Identification) -> Self {
        let recorder = Self::default();
        recorder.identify_as(identification);
        recorder
    }

    /// The CPU that executes from now on.
    pub fn identify_as(&self, cpu: Identification) {
        self.midr.store(cpu.midr, Ordering::SeqCst);
        self.mmfr0.store(cpu.mmfr0, Ordering::SeqCst);
        self.mmfr2.store(cpu.mmfr2, Ordering::SeqCst);
        self.isar0.store(cpu.isar0, Ordering::SeqCst);
    }

    /// Everything executed so far; forgets it.
    pub fn take(&self) -> Vec<Executed> {
        std::mem::take(&mut *self.lock())
    }

    /// How many of the instructions recorded and not yet taken begin with these words: `"tlbi"`, `"dsb"`, `"tlbi vale1is"`.
    pub fn count(&self, beginning: &str) -> usize {
        self.lock()
            .iter()
            .filter(|(name, _)| name.starts_with(beginning))
            .count()
    }

    fn push(&self, name: &'static str, operand: Option<u64>) {
        fence(Ordering::SeqCst);
        self.lock().push((name, operand));
        fence(Ordering::SeqCst);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Executed>> {
        self.executed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

macro_rules! record {
    ($method:ident, $name:literal) => {
        fn $method(&self) {
            self.push($name, None);
        }
    };
    ($method:ident, $name:literal, operand) => {
        fn $method(&self, operand: u64) {
            self.push($name, Some(operand));
        }
    };
}

macro_rules! identify {
    ($method:ident, $field:ident) => {
        fn $method(&self) -> u64 {
            self.$field.load(Ordering::SeqCst)
        }
    };
}

// SAFETY: only tests rely on a recorder; no memory is freed on its word.
unsafe impl Instructions for Recorder {
    record!(dsb_ishst, "dsb ishst");
    record!(dsb_nshst, "dsb nshst");
    record!(dsb_ish, "dsb ish");
    record!(dsb_nsh, "dsb nsh");
    record!(isb, "isb");

    record!(tlbi_vae1is, "tlbi vae1is", operand);
    record!(tlbi_vale1is, "tlbi vale1is", operand);
    record!(tlbi_vaae1is, "tlbi vaae1is", operand);
    record!(tlbi_vaale1is, "tlbi vaale1is", operand);
    record!(tlbi_aside1is, "tlbi aside1is", operand);
    record!(tlbi_vmalle1is, "tlbi vmalle1is");
    record!(tlbi_rvae1is, "tlbi rvae1is", operand);
    record!(tlbi_rvale1is, "tlbi rvale1is", operand);
    record!(tlbi_rvaae1is, "tlbi rvaae1is", operand);
    record!(tlbi_rvaale1is, "tlbi rvaale1is", operand);
    record!(tlbi_vae1, "tlbi vae1", operand);
    record!(tlbi_vale1, "tlbi vale1", operand);
    record!(tlbi_vaae1, "tlbi vaae1", operand);
    record!(tlbi_vaale1, "tlbi vaale1", operand);
    record!(tlbi_aside1, "tlbi aside1", operand);
    record!(tlbi_vmalle1, "tlbi vmalle1");
    record!(tlbi_rvae1, "tlbi rvae1", operand);
    record!(tlbi_rvale1, "tlbi rvale1", operand);
    record!(tlbi_rvaae1, "tlbi rvaae1", operand);
    record!(tlbi_rvaale1, "tlbi rvaale1", operand);

    identify!(midr, midr);
    identify!(id_aa64mmfr0, mmfr0);
    identify!(id_aa64mmfr2, mmfr2);
    identify!(id_aa64isar0, isar0);
}
