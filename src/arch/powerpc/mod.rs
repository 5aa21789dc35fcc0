//! POWER with radix translation (ISA 3.0 and later): `tlbie` reaches every thread, `tlbiel` this one.
//!
//! Entries are tagged with the PID of their process, which all CPUs share, and stay when a CPU goes on to another process. One CPU's
//! `tlbie` and the barriers after it drop them everywhere; where a process has run on one CPU alone `tlbiel` is enough and costs the
//! others nothing. What remains is to get the rest right: every page size that an entry may have, walk caches apart, the sets of
//! POWER9's TLB and its defects, and the accelerators behind a nest MMU, which hear `tlbie` and nothing else.
//!
//! [`PowerPc`] is the [`Arch`](crate::arch::Arch) of this family. It runs on `instructions::Asm` in a kernel, and on any other implementor of
//! [`Instructions`] in tests.
//!
//! # What the kernel does
//! 1. It enables radix translation (LPCR.HR, UPRT) and says with [`Config`] whether it is the hypervisor or a guest, and what a guest may.
//! 2. The context switch stores the root into the entry of the process table that the PID from `switch_to` names, where it is not there
//!    yet, followed by `ptesync; isync`; then it loads PIDR and says `root_loaded`. `switch_to_kernel` gives PID 0.
//! 3. A kernel thread that goes on under a process's PID is announced by `enter_lazy`; `Platform::leave_borrowed_root` loads PID 0.
//! 4. Before a space is retired its entry in the process table is cleared: the flush drops what CPUs have cached of it.
//! 5. A permission is widened with [`upgrade`](crate::shootdown::Shootdown::upgrade), which knows when the entry must be invalid in between.
//! 6. [`change::decide`] tells from a reason, [`change::needed`] from the old and the new entry, what any other change needs.
//!
//! Kernel mappings are those of quadrant 3, under PID 0. Pages have the base size of the tables, 2 MiB or 1 GiB; a flush that promises the
//! leaf size invalidates each page once, one that does not, once for every size.

pub mod change;
mod completion;
mod config;
mod errata;
mod hcall;
pub mod hypervisor;
pub mod instructions;
mod isa;
mod issue;
pub mod operand;
mod partition;
mod per_cpu;
mod pid;
mod plan;
mod sequences;

pub use config::Config;
pub use isa::Isa;
pub use partition::NotHypervisor;
pub use pid::PidSlot;

use self::instructions::Instructions;
use self::isa::Machine;
use self::per_cpu::PerCpu;
use self::pid::Allocator;
use crate::arch::{HardwareId, IdError};
use crate::sync::const_unless_loom;

/// The POWER CPUs of one machine, up to `64 * WORDS` of them: hardware threads, each with a number of its own.
///
/// All have the same level of the ISA; a CPU of another is refused when it joins. Nothing has to be sealed.
#[derive(Debug)]
pub struct PowerPc<I, const WORDS: usize> {
    instructions: I,
    config: Config,
    machine: Machine,
    cpus: PerCpu<WORDS>,
    pids: Allocator,
}

impl<I: Instructions, const WORDS: usize> PowerPc<I, WORDS> {
    const_unless_loom! {
        /// A machine none of whose CPUs has started.
        pub const fn new(instructions: I, config: Config) -> Self {
            Self {
                instructions,
                config,
                machine: Machine::new(),
                cpus: PerCpu::new(),
                pids: Allocator::new(),
            }
        }
    }

    /// The level of the ISA that the CPUs have; 3.0 until the first has joined.
    pub fn isa(&self) -> Isa {
        self.machine.isa()
    }

    /// The PID of the process, given to it now where it has none: for accelerators that share it before a CPU has run it. It keeps the
    /// PID until it is retired.
    ///
    /// # Errors
    /// [`IdError::Exhausted`].
    ///
    /// # Context
    /// With interrupts off.
    pub fn assign_pid(&self, space: &PidSlot) -> Result<HardwareId, IdError> {
        let bits = self.config.pid_width();
        let id = self.pids.activate(space, bits, &mut || ())?;
        Ok(pid::plain(id))
    }

    /// What the instructions are executed on.
    pub fn instructions(&self) -> &I {
        &self.instructions
    }
}
