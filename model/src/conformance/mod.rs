//! Whether a port keeps its contract, in one call: [`run()`] takes a whole kernel, and there is one call each for a `Platform`, for an `Arch` with
//! the page tables under it, and for a `SecondaryTlb`.
//!
//! The library frees memory on the strength of what a kernel's port answers, and cannot tell a wrong answer. This suite goes through the
//! contract sentence by sentence and checks each that can be seen from outside. It neither allocates nor needs `std`, so it runs on the
//! target, in a kernel that has started its CPUs; take the crate with `default-features = false` there.
//!
//! * [`platform()`]: CPU numbers, pinning, masked interrupts, the clock, interrupts between CPUs, answers that may not change; where there
//!   are NMIs, that one reaches a CPU whose interrupts are off, and where there are wakers, that they are woken.
//! * [`arch()`]: a page-table change, then each of the engine's entry points, then every CPU and the device look. Beforehand the same
//!   without the flush: how often somebody still saw the old entry is in [`Passed`], and is no failure, as hardware may drop entries at any time.
//!   A run in which nobody ever did proves little.
//!   In the end all CPUs change and flush at the same time.
//! * [`ending()`]: no CPU keeps the root of a space that has ended.
//! * [`secondary()`]: queueing, sealing, polling and releasing, and with a device that looks, what the fences vouch for.
//!
//! Each returns [`Passed`], or the first [`Failure`], which names the sentence that was broken and who broke it.
//!
//! What it does not see: instructions that a sequence has in vain, nanoseconds that are none, an access still under way through an entry that has
//! gone, calls that sleep, allocate or wait, and CPUs that come and go. Of an NMI handler it sees that it answers, and not what else it touches, as
//! nothing tells from outside what was interrupted; and where invalidations are broadcast no NMI is ever sent. Of wakers it sees that a task is woken in the end, and not
//! how often in vain. Of borrowed roots it sees that they are left where a space ends: that they are left where tables are freed differs
//! between architectures, and a CPU that still has such a root uses nothing through it that could be looked at. On real hardware a rare race
//! may need many runs.
//!
//! # Example
//! A platform on the software machine, whose CPUs the calling thread takes the part of in turn. In a kernel [`Cpus`] is whatever runs a
//! function on another CPU.
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
#![cfg_attr(feature = "std", doc = "```")]
//! use tlb_shootdown::cpu_set::CpuId;
//! use tlb_shootdown::platform::Platform;
//! use tlb_shootdown::shootdown::Shootdown;
//! use tlb_shootdown_model::conformance::{self, Cpus};
//! use tlb_shootdown_model::platform::{ModelPlatform, PlainArch};
//! use tlb_shootdown_model::{Model, Temper};
//!
//! struct Machine(ModelPlatform<PlainArch>);
//!
//! impl Cpus for Machine {
//!     fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
//!         let caller = self.0.cpu();
//!         self.0.set_current(cpu.index());
//!         work();
//!         self.0.set_current(caller.index());
//!     }
//! }
//!
//! let model = Model::new(3, Temper::Late);
//! let platform = ModelPlatform::new(model.clone());
//! let machine = Machine(platform.clone());
//! let engine = Shootdown::<_, 1>::new(platform, PlainArch::new(model));
//! let engine: &'static _ = Box::leak(Box::new(engine));
//! machine.0.set_handler(|| engine.on_ipi());
//! for cpu in 0..3 {
//!     machine.run_on(CpuId::new(cpu), &|| engine.cpu_online().unwrap());
//! }
//!
//! let passed = conformance::platform(engine, &machine).unwrap();
//! println!("{passed}");
//! ```

mod arch;
mod cpus;
mod entry;
mod failure;
mod passed;
mod platform;
mod secondary;
mod whole;

pub use arch::{Probe, Way, arch, ending};
pub use cpus::Cpus;
pub use entry::{Agent, Entry, Frame, PAGES, Window};
pub use failure::{Failure, Who};
pub use passed::Passed;
pub use platform::platform;
pub use secondary::{Bounds, Surroundings, secondary};
pub use whole::{Attached, Port, Proof, run};
