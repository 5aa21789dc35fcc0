//! AArch64: broadcast TLB maintenance.
//!
//! One instruction drops translations on every CPU of the inner shareable domain; a DSB on the same CPU waits until all have
//! done so. What remains is to get the rest right: the store barrier first, the ASID read after it, operands whose fields
//! do not run into each other, a completion on the CPU that issued, and the errata of that completion.
//!
//! [`Aarch64`] is the [`Arch`](crate::arch::Arch) of this family. It runs on `instructions::Asm` in a kernel, and on any other implementor
//! of [`Instructions`] in tests.
//!
//! What a change of page tables needs, and which changes go through an invalid entry, is in [`change`].

mod asid;
pub mod change;
mod config;
mod errata;
mod features;
pub mod granule;
pub mod instructions;
mod issue;
pub mod operand;
pub mod operation;
pub mod range;
mod sequences;

pub use asid::AsidSlot;
pub use config::{Config, VaBits};

use self::asid::{Allocator, Numbers};
use self::errata::Errata;
use self::features::Features;
use self::instructions::Instructions;
use self::range::Rules;
use crate::arch::{HardwareId, IdError};
use crate::sync::const_unless_loom;

/// The AArch64 CPUs of one machine, up to `64 * WORDS` of them.
///
/// Before [`seal_features`](Self::seal_features) nothing is used that some CPU might not have: no range operations, no level
/// hints, 8-bit ASIDs. That is right for one CPU and for all, and slower than need be.
#[derive(Debug)]
pub struct Aarch64<I, const WORDS: usize> {
    instructions: I,
    config: Config,
    features: Features,
    errata: Errata,
    asids: Allocator<WORDS>,
}

/// The odd ASID of a pair ([`Config::kpti`]), under which the process itself runs.
pub const fn odd_asid(id: HardwareId) -> HardwareId {
    HardwareId(id.0 | 1)
}

impl<I: Instructions, const WORDS: usize> Aarch64<I, WORDS> {
    const_unless_loom! {
        /// A machine none of whose CPUs has started.
        pub const fn new(instructions: I, config: Config) -> Self {
            Self {
                instructions,
                config,
                features: Features::new(),
                errata: Errata::new(),
                asids: Allocator::new(),
            }
        }
    }

    /// Takes into use what all CPUs counted so far have in common. Called once, when the CPUs of the machine have started; later
    /// ones that have less are refused.
    pub fn seal_features(&self) {
        self.features.seal(self.config.has_wide_asids());
    }

    /// How many bits the ASIDs have: 8, or 16 once the features are sealed, where all CPUs have them and the kernel wants them
    /// ([`Config::wide_asids`]). The kernel then sets `TCR_EL1.AS`, before the first process runs.
    pub fn asid_bits(&self) -> u32 {
        self.features.asid_bits()
    }

    /// The level of FEAT_BBM that all CPUs have: 0 until the features are sealed, then at most 2.
    pub fn break_before_make_level(&self) -> u8 {
        self.features.break_before_make_level()
    }

    /// Gives the address space an ASID that stays the same through all generations, for devices that share it. Each pin is taken
    /// back by one [`unpin`](Self::unpin).
    ///
    /// Called with interrupts off.
    ///
    /// # Errors
    /// [`IdError::Exhausted`] where too few would be left for the CPUs.
    pub fn pin(&self, space: &AsidSlot) -> Result<HardwareId, IdError> {
        let tagged = self.asids.pin(space, self.numbers())?;
        Ok(tagged.hardware_id())
    }

    /// Takes one pin back, after the devices have dropped their entries. False where there was none. Called with interrupts off.
    pub fn unpin(&self, space: &AsidSlot) -> bool {
        self.asids.unpin(space, self.numbers())
    }

    /// What the instructions are executed on.
    pub fn instructions(&self) -> &I {
        &self.instructions
    }

    fn numbers(&self) -> Numbers {
        Numbers {
            asid_bits: self.features.asid_bits(),
            pairs: self.config.is_kpti(),
        }
    }

    fn rules(&self) -> Rules {
        Rules {
            tables: self.config.tables(),
            range_operations: self.features.range_operations(),
            policy: self.config.policy(),
        }
    }
}
