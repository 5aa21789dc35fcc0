//! Which CPU a thread belongs to, which level of the ISA it implements, and what all have in common.

use super::config::Config;
use super::errata::{self, Defects};
use crate::arch::JoinError;
use crate::sync::{AtomicU32, Ordering, const_unless_loom};

/// The versions of Power ISA that have radix translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Isa {
    /// 3.0: POWER9.
    V3_0,
    /// 3.1: POWER10, POWER11.
    V3_1,
    /// 3.2, without COPY and PASTE.
    V3_2,
}

/// The versions in bits 31:16 of the PVR (Linux' `asm/reg.h`; QEMU's `cpu-models.h`).
const POWER9: u32 = 0x004e;
const POWER10: u32 = 0x0080;
const POWER11: u32 = 0x0082;

/// One CPU.
#[derive(Clone, Copy, Debug)]
struct Identity {
    isa: Isa,
    defects: Defects,
}

impl Identity {
    fn of(pvr: u32, config: &Config) -> Result<Self, JoinError> {
        let version = pvr >> 16;
        let of_version = match version {
            POWER9 => Some(Isa::V3_0),
            POWER10 | POWER11 => Some(Isa::V3_1),
            _ => None,
        };
        let isa = config.stated_isa().or(of_version);
        let isa = isa.ok_or(JoinError::UnsupportedCpu(pvr))?;
        let defects = if isa == Isa::V3_0 && config.may_migrate() {
            // A guest may go on running on another POWER9 than the one it sees now.
            Defects::all()
        } else if version == POWER9 {
            errata::of_power9(pvr)
        } else {
            Defects::empty()
        };
        Ok(Self { isa, defects })
    }
}

/// What was counted so far: the level of the first CPU, which all others must have, and the union of what is wrong.
///
/// Bits 1:0 the defects, bits 9:8 the level plus one, 0 before the first CPU.
#[derive(Debug)]
pub(super) struct Machine(AtomicU32);

const LEVEL_SHIFT: u32 = 8;

impl Machine {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(AtomicU32::new(0))
        }
    }

    /// Counts the CPU in. The caller orders this before the CPU's first walk.
    pub(super) fn count(&self, pvr: u32, config: &Config) -> Result<(), JoinError> {
        let Identity { isa, defects } = Identity::of(pvr, config)?;
        let level = (isa as u32 + 1) << LEVEL_SHIFT;
        let own = level | defects.bits();
        let add = |machine: u32| {
            let is_first = machine == 0;
            let is_same = machine >> LEVEL_SHIFT << LEVEL_SHIFT == level;
            (is_first || is_same).then_some(machine | own)
        };
        self.0
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add)
            .map(|_| ())
            .map_err(|_| JoinError::MissingFeature("the ISA level of the other CPUs"))
    }

    /// Before the first CPU was counted 3.0, of which the others understand every form.
    pub(super) fn isa(&self) -> Isa {
        match self.0.load(Ordering::Relaxed) >> LEVEL_SHIFT {
            0 | 1 => Isa::V3_0,
            2 => Isa::V3_1,
            _ => Isa::V3_2,
        }
    }

    pub(super) fn defects(&self) -> Defects {
        Defects::from_bits_truncate(self.0.load(Ordering::Relaxed))
    }
}
