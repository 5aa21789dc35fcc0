//! An adversarial software machine for tests of TLB shootdown.
//!
//! Emulators are kind: they walk again before they fault, execute commands inside the doorbell write, and know nothing of ASIDs. This
//! machine takes the liberties that the manuals give to hardware, and keeps an oracle that reports every stale entry that is used or
//! held after its invalidation has returned.
//!
//! It decodes raw operands and raw words with constants of its own, the manual's section beside each, and never imports the
//! library's layout or encoders: a wrong bit shows as an entry that survives.
//!
//! ```
//! use tlb_shootdown::arch::aarch64::instructions::Instructions;
//! use tlb_shootdown_model::cpu::ModelInstructions;
//! use tlb_shootdown_model::memory::{Mapping, descriptor::Rights};
//! use tlb_shootdown_model::{Model, Temper};
//!
//! let model = Model::new(2, Temper::Late);
//! let tables = model.tables();
//! let frame = model.allocate(0x1000);
//! tables.map(0, 0x4000, Mapping::page(frame, Rights::ReadOnly));
//! // Stores wait in CPU 0's store buffer for a barrier.
//! ModelInstructions::new(model.clone()).dsb_ishst();
//!
//! let cpu = model.cpu(1);
//! cpu.run(tables.root(), 5);
//! assert_eq!(cpu.read(0x4000), Ok(0));
//!
//! // Unmapped, and nobody invalidates: the CPU goes on using its entry.
//! tables.unmap(0, 0x4000);
//! assert_eq!(cpu.read(0x4000), Ok(0));
//! assert_eq!(model.violations(), []);
//!
//! // Once a flush claims to be complete, the same is a violation.
//! model.returned(tables.root(), 0x4000, 0x4fff);
//! assert_ne!(model.violations(), []);
//! ```
//!
//! * [`Model`]: the machine. [`Temper`] says how it uses its liberties.
//! * [`cpu`]: AArch64 CPUs with TLBs and walk caches tagged by ASID, store buffers, and invalidations in flight until a barrier; in
//!   [`cpu::x86_64`] those of x86-64, tagged by PCID, and in [`cpu::powerpc`] those of POWER, tagged by PID, with ERATs in front.
//! * [`smmuv3`], [`amd`], [`vtd`]: lazy IOMMUs with devices that may have TLBs of their own.
//! * [`ocxl`]: an OpenCAPI link with its nest MMU, its process elements and its accelerators.
//! * [`memory`]: page tables of real descriptors.
//! * [`platform`]: the library's `Platform` and `DmaBarriers` on this machine, and a plain architecture without broadcasts.
//! * `explore`, with `std`: every run of a small test.
//! * [`oracle`]: what must never happen, and what was counted.
//! * [`conformance`]: whether a kernel's port of the library keeps its contract, on the host or on the target.
//!
//! # Features
//! `machine` is the software machine, which needs `alloc`; `std` adds threads and the recorder to it, and is on by default. Without both
//! there is [`conformance`] alone, which needs neither and runs in a kernel.
#![cfg_attr(not(feature = "std"), no_std)]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

#[cfg(feature = "machine")]
extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

#[cfg(feature = "machine")]
pub mod amd;
#[cfg(feature = "machine")]
mod chooser;
pub mod conformance;
#[cfg(feature = "machine")]
pub mod cpu;
#[cfg(feature = "machine")]
mod device_tlb;
#[cfg(feature = "std")]
pub mod explore;
#[cfg(feature = "machine")]
mod ground;
mod lock;
#[cfg(feature = "machine")]
mod look_up;
#[cfg(feature = "machine")]
pub mod memory;
#[cfg(feature = "machine")]
mod model;
#[cfg(feature = "machine")]
pub mod ocxl;
#[cfg(feature = "machine")]
pub mod oracle;
#[cfg(feature = "machine")]
pub mod platform;
#[cfg(feature = "std")]
pub mod recorder;
#[cfg(feature = "machine")]
mod requests;
#[cfg(feature = "machine")]
pub mod smmuv3;
#[cfg(feature = "machine")]
mod tlb;
#[cfg(feature = "machine")]
pub mod vtd;
#[cfg(feature = "machine")]
mod world;

#[cfg(feature = "machine")]
pub use chooser::Temper;
#[cfg(feature = "machine")]
pub use model::Model;
