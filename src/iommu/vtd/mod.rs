//! Intel VT-d: devices that share a process's page table by PASID (scalable mode), or have a second-stage table of their own (legacy mode),
//! told of its changes through the invalidation queue.
//!
//! # Use
//! 1. [`Vtd::new`] with the register block of one remapping unit (DMAR DRHD), memory and a [`Config`]; [`Vtd::init`].
//! 2. [`Vtd::add_device`] for each device.
//! 3. For each address space [`Vtd::reserve`], which gives the [`AttachKey`] to attach in the engine; then [`Vtd::install`].
//! 4. After the engine's detach [`Vtd::detach`], [`Vtd::remove_device`], [`Vtd::disable`].
//!
//! In between the engine drives it as a [`SecondaryTlb`]: one shootdown is one submission with one doorbell and one wait descriptor,
//! whatever the number of devices: `[PASID IOTLB.., device TLB.., wait]`. A unit invalidates a device TLB after the IOTLB invalidations
//! before it; for one that does not, [`Config::wait_before_device_tlbs`] puts a fence between.
//!
//! [`Mode::Legacy`] is for units without scalable mode, and for kernels that translate devices by tables in the unit's own format. An address
//! space is a domain there, its contexts have no PASID, and queue entries take 128 bits; all else is the same. With
//! [`Features::caching_mode`](features::Features::caching_mode) the unit may keep that a page was *not* mapped: then the kernel flushes
//! pages of such a table when it maps them, too. It does the same, in either mode, with
//! [`Features::write_buffer`](features::Features::write_buffer): the new entry waits in that buffer, which each flush empties (6.8).
//!
//! A fence is the position behind a wait descriptor, and reached when a wait there or later has written its status. The head of the
//! queue says only what was fetched.
//!
//! The driver cleans its own tables for a unit that does not read them coherently ([`Features::coherent`](features::Features::coherent)).
//! The page tables are the kernel's: without [`Features::coherent_walks`](features::Features::coherent_walks) it writes each changed
//! entry back to memory before it starts the flush, or the unit walks the old entry again after the invalidation. Entries for devices
//! have U/S set.
//!
//! ```
//! use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
//! use tlb_shootdown::iommu::vtd::{
//!     AttachError, Config, Context, DeviceSetup, InitError, Memory, Pasid, SourceId, TranslationConfig, Vtd,
//! };
//! use tlb_shootdown::lock::{CriticalSectionLock, RingLock};
//! use tlb_shootdown::secondary::AttachKey;
//!
//! /// Brings a unit up. `wait` is the kernel's clock: `false` gives up.
//! fn bring_up<M: Mmio, B: DmaBarriers>(
//!     registers: M,
//!     barriers: B,
//!     memory: Memory,
//!     wait: &mut dyn FnMut() -> bool,
//! ) -> Result<Vtd<M, B, CriticalSectionLock>, InitError> {
//!     let vtd = Vtd::new(registers, barriers, CriticalSectionLock, memory, Config::new())?;
//!     vtd.init(wait)?;
//!     Ok(vtd)
//! }
//!
//! /// Lets a device share a process's page table under a PASID. `pasids` has `pasid_table_bytes(8)` bytes. Between the two
//! /// steps the kernel attaches the key to the process's address space in the engine, so that no flush is missed.
//! fn share<M: Mmio, B: DmaBarriers, L: RingLock>(
//!     vtd: &Vtd<M, B, L>,
//!     device: SourceId,
//!     pasid: Pasid,
//!     pasids: DmaRegion,
//!     process: &TranslationConfig,
//!     attach_in_engine: impl FnOnce(AttachKey),
//!     wait: &mut dyn FnMut() -> bool,
//! ) -> Result<AttachKey, AttachError> {
//!     let setup = DeviceSetup { device, pasids: Some(pasids), pasid_bits: 8, device_tlb: None, page_requests: false };
//!     vtd.add_device(setup, wait)?;
//!     let key = vtd.reserve(&[Context { device, pasid: Some(pasid) }], process)?;
//!     attach_in_engine(key);
//!     vtd.install(key, wait)?;
//!     Ok(key)
//! }
//! ```

mod attach;
pub mod command;
pub mod config;
mod context_entry;
mod devices;
mod drain;
mod error;
pub mod features;
mod ids;
mod init;
mod pasid_table;
mod queue;
mod recovery;
pub mod registers;
mod retry;
mod root_table;
mod seal;
mod second_stage;
pub mod span;
mod state;
mod submit;
mod tag;
mod wait;
mod write_buffer;

pub use super::memory::MemoryError;
pub use config::{
    Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Mode, TranslationConfig,
};
pub use error::{AttachError, InitError, Unsupported};
pub use ids::{DomainId, Pasid, SourceId};
pub use pasid_table::pasid_table_bytes;

use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb};
use crate::sync::UnsafeCell;
use core::fmt;
use core::task::Poll;
use features::Features;
use registers::Faults;
use state::{Hardware, Locked, State};

/// One remapping unit with its invalidation queue, and the devices behind it.
///
/// `SLOTS` bounds devices, address spaces and contexts, each for itself; `PENDING` bounds the device-TLB invalidations between two
/// seals. All memory is within the value and the regions that it was given.
pub struct Vtd<M, B, L, const SLOTS: usize = 32, const PENDING: usize = 128> {
    hardware: Hardware<M, B>,
    lock: L,
    state: UnsafeCell<State<SLOTS, PENDING>>,
}

// SAFETY: the state is reached through `locked` alone, under the ring lock; the rest is immutable and itself `Sync`.
unsafe impl<M: Mmio, B: DmaBarriers, L: RingLock, const S: usize, const P: usize> Sync
    for Vtd<M, B, L, S, P>
{
}

impl<M, B, L, const S: usize, const P: usize> fmt::Debug for Vtd<M, B, L, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vtd")
            .field("features", &self.hardware.features)
            .field("config", &self.hardware.config)
            .finish_non_exhaustive()
    }
}

impl<M, B, L, const SLOTS: usize, const PENDING: usize> Vtd<M, B, L, SLOTS, PENDING>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Takes over a unit and builds its tables in the memory given. Only capability registers are read.
    ///
    /// # Errors
    /// [`InitError::Unsupported`], [`InitError::Memory`].
    pub fn new(
        registers: M,
        barriers: B,
        lock: L,
        memory: Memory,
        mut config: Config,
    ) -> Result<Self, InitError> {
        let features = Features::discover(&registers);
        init::check(&registers, &features, &config)?;
        // Second-stage tables are the devices' own: none leads to a kernel table.
        config.kernel_tables &= config.mode == Mode::Scalable;
        let state = init::build(memory, config.mode)?;
        Ok(Self {
            hardware: Hardware {
                registers,
                barriers,
                features,
                config,
            },
            lock,
            state: UnsafeCell::new(state),
        })
    }

    /// What the unit offers.
    pub const fn features(&self) -> &Features {
        &self.hardware.features
    }

    /// To be called from the fault-event interrupt, where there is one: takes one step of recovery, and gives what FSTS shows afterwards.
    /// Fault records are the kernel's, which clears PFO in FSTS for itself and no other bit: whoever clears ITE or IQE hides an invalidation
    /// that was not done.
    pub fn on_fault_event(&self) -> Faults {
        self.locked(|l| {
            l.tend();
            l.faults()
        })
    }

    fn hardware(&self) -> &Hardware<M, B> {
        &self.hardware
    }

    fn poll_fence(&self, fence: &mut Fence, cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        self.locked_at(cost, |l| l.poll(fence))
    }

    /// Runs `f` on the locked state, at nobody's expense.
    fn locked<R>(&self, f: impl FnOnce(&mut Locked<'_, M, B, SLOTS, PENDING>) -> R) -> R {
        self.locked_at(&mut Cost::default(), f)
    }

    fn locked_at<R>(
        &self,
        cost: &mut Cost,
        f: impl FnOnce(&mut Locked<'_, M, B, SLOTS, PENDING>) -> R,
    ) -> R {
        self.lock.with(|| {
            self.state.with_mut(|state| {
                // SAFETY: the ring lock admits one closure at a time, and none of them locks again.
                let state = unsafe { &mut *state };
                f(&mut Locked {
                    hw: &self.hardware,
                    state,
                    cost,
                })
            })
        })
    }
}

// SAFETY: a fence is reached when a wait descriptor behind everything queued before the seal has written its status; device TLBs are
// told behind the IOTLB in the same queue, and behind a fence where the unit needs one; aborted waits and refused descriptors hold every
// later fence back until they are settled (`recovery`); every method runs a bounded section under the ring lock.
unsafe impl<M, B, L, const S: usize, const P: usize> SecondaryTlb for Vtd<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    fn queue(&self, invalidation: &Invalidation, cost: &mut Cost) -> Result<(), Full> {
        self.locked_at(cost, |l| l.queue(invalidation))
    }

    fn seal(&self, cost: &mut Cost) -> Fence {
        self.locked_at(cost, |l| l.seal())
    }

    fn poll(&self, fence: &mut Fence, cost: &mut Cost) -> Poll<Result<(), SecondaryError>> {
        self.poll_fence(fence, cost)
    }

    fn release(&self, key: AttachKey, cost: &mut Cost) -> Result<(), Full> {
        self.locked_at(cost, |l| l.release(key))
    }

    fn needs(&self) -> Needs {
        let config = &self.hardware.config;
        let mut needs = Needs::empty();
        let rewalks = config.rewalks || Defect::VtdUpgradesNotNeeded.is_put_back();
        needs.set(Needs::UPGRADES, !rewalks);
        needs.set(Needs::KERNEL_TABLES, config.kernel_tables);
        needs
    }
}
