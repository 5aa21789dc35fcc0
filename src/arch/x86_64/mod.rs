//! x86-64: every CPU invalidates its own entries when it is asked, or one CPU broadcasts where there is INVLPGB.
//!
//! A CPU keeps entries of several spaces, each under an identifier of its own, and remembers for each how old they may be. What
//! it does not run it need not be asked about: it compares generations before it runs it again.
//!
//! [`X86_64`] is the [`Arch`](crate::arch::Arch) of this family. It runs on `instructions::Asm` in a kernel, and on any other implementor of
//! [`Instructions`] in tests.

mod broadcast;
mod catch_up;
pub mod change;
mod config;
mod features;
mod global_ids;
mod identity;
pub mod instructions;
mod kernel;
mod kpti;
mod local;
pub mod operand;
mod own;
mod per_cpu;
mod registers;
mod sequences;
mod shown;
mod slots;
mod space_pcid;
mod switch;

pub use config::Config;
pub use space_pcid::SpacePcid;

use self::features::Features;
use self::global_ids::GlobalIds;
use self::instructions::Instructions;
use self::per_cpu::PerCpu;
use crate::sync::const_unless_loom;

/// The x86-64 CPUs of one machine, up to `64 * WORDS` of them.
///
/// Before [`seal_features`](Self::seal_features) nothing is used that some CPU might not have: no identifiers, no INVPCID, no
/// INVLPGB. That is right for one CPU and for all, and slower than need be.
#[derive(Debug)]
pub struct X86_64<I, const WORDS: usize> {
    instructions: I,
    config: Config,
    features: Features,
    cpus: PerCpu<WORDS>,
    global_ids: GlobalIds,
}

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    const_unless_loom! {
        /// A machine none of whose CPUs has started.
        pub const fn new(instructions: I, config: Config) -> Self {
            Self {
                instructions,
                config,
                features: Features::new(),
                cpus: PerCpu::new(),
                global_ids: GlobalIds::new(slots::pcid(slots::MAX_SLOTS)),
            }
        }
    }

    /// Takes into use what all CPUs counted so far have in common. Called once, when the CPUs of the machine have started; later
    /// ones that have less are refused.
    pub fn seal_features(&self) {
        self.features.seal(&self.config);
    }

    /// Whether spaces and kernel mappings are flushed by INVLPGB: once the features are sealed, where all CPUs have it together
    /// with INVPCID and have `CR4.PCIDE` set, and the kernel has neither declined it nor said that it uses KPTI.
    pub fn uses_broadcasts(&self) -> bool {
        self.features.broadcasts().is_some()
    }

    /// What the instructions are executed on.
    pub fn instructions(&self) -> &I {
        &self.instructions
    }
}
