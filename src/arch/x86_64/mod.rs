//! x86-64: every CPU invalidates its own entries when it is asked, or one CPU broadcasts where there is INVLPGB.
//!
//! A CPU keeps entries of several spaces, each under an identifier of its own, and remembers for each how old they may be. What
//! it does not run it need not be asked about: it compares generations before it runs it again.
//!
//! [`X86_64`] is the [`Arch`](crate::arch::Arch) of this family. It runs on `instructions::Asm` in a kernel, and on any other implementor of
//! [`Instructions`] in tests.
//!
//! # What the kernel does
//! 1. On each CPU it sets CR4 as it wants it (`PGE`, `PCIDE`, `LA57`), then announces the CPU; once all are there, it calls
//!    [`seal_features`](X86_64::seal_features).
//! 2. The context switch puts the identifier that `switch_to` or `switch_to_kernel` returns, bit 63 included, into the address of
//!    the root, loads CR3, and says `root_loaded`: see below.
//! 3. A kernel thread that borrows a root is announced by `enter_lazy`. `Platform::leave_borrowed_root` loads the kernel's own root
//!    under PCID 0, with bit 63 clear.
//! 4. With KPTI the exit to a process loads its own root with [`user_cr3_on_exit`](X86_64::user_cr3_on_exit), interrupts off.
//! 5. [`change::needed`] tells from the old entry and the new one which flush a change needs, if any, and [`change::decide`] from the
//!    reason.
//!
//! ```
//! use tlb_shootdown::address::PhysAddr;
//! use tlb_shootdown::arch::x86_64::{X86_64, instructions::Instructions};
//! use tlb_shootdown::error::SwitchError;
//! use tlb_shootdown::platform::Platform;
//! use tlb_shootdown::shootdown::Shootdown;
//! use tlb_shootdown::space::AddressSpace;
//!
//! /// The switch to a process, with interrupts off. `load` is MOV to CR3.
//! fn switch<P, I, const WORDS: usize>(
//!     engine: &Shootdown<P, WORDS>,
//!     process: &AddressSpace<P::Arch, WORDS>,
//!     root: PhysAddr,
//!     load: impl FnOnce(u64),
//! ) -> Result<(), SwitchError>
//! where
//!     P: Platform<Arch = X86_64<I, WORDS>>,
//!     I: Instructions,
//! {
//!     let id = engine.switch_to(process)?;
//!     load(root.raw() | id.0);
//!     engine.root_loaded();
//!     Ok(())
//! }
//! ```

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
///
/// Where there are broadcasts, a CPU that serves a request may take up another identifier, and CR3 changes. A kernel that comes back to
/// a root by a value of CR3 that it has kept, from firmware or from a guest for instance, keeps interrupts off from reading it until
/// it is loaded again: broadcasts do not reach what is cached under the identifier of before.
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
