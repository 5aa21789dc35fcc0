//! Arm SMMUv3 (Arm IHI 0070): devices that share a process's page table, told of its changes through a command queue.
//!
//! # Use
//! 1. [`Smmu::new`] with the register block, memory and a [`Config`]; [`Smmu::init`].
//! 2. [`Smmu::add_stream`] for each device.
//! 3. For each address space [`Smmu::reserve`], which gives the [`AttachKey`] to attach in the engine; then [`Smmu::install`].
//! 4. After the engine's detach [`Smmu::detach`], [`Smmu::remove_stream`], [`Smmu::disable`].
//!
//! In between the engine drives it as a [`SecondaryTlb`]: one shootdown is one submission with one doorbell,
//! `[TLBI.., CMD_SYNC]`, and with device TLBs `[TLBI.., CMD_SYNC, ATC_INV.., CMD_SYNC]`. What follows a CMD_SYNC does not start
//! before it is complete (4.7.3), so a device TLB is never refilled from a stale SMMU TLB.
//!
//! Consumption of anything but a CMD_SYNC means nothing; a fence is the position after one.
//!
//! The driver cleans its own tables and queue for an SMMU that is not coherent ([`Features::coherent`](features::Features::coherent)).
//! The page tables are the kernel's: there it writes each changed entry back to memory before it starts the flush, or the SMMU
//! walks the old entry again after the invalidation.
//!
//! ```
//! use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
//! use tlb_shootdown::iommu::smmuv3::{
//!     AttachError, Config, Context, InitError, Memory, Smmu, StreamId, StreamSetup, TranslationConfig,
//! };
//! use tlb_shootdown::lock::{CriticalSectionLock, RingLock};
//! use tlb_shootdown::secondary::AttachKey;
//!
//! /// Brings an SMMU up. `wait` is the kernel's clock: `false` gives up.
//! fn bring_up<M: Mmio, B: DmaBarriers>(
//!     registers: M,
//!     barriers: B,
//!     memory: Memory,
//!     wait: &mut dyn FnMut() -> bool,
//! ) -> Result<Smmu<M, B, CriticalSectionLock>, InitError> {
//!     let smmu = Smmu::new(registers, barriers, CriticalSectionLock, memory, Config::new())?;
//!     smmu.init(wait)?;
//!     Ok(smmu)
//! }
//!
//! /// Lets a device without substreams share a process's page table. Between the two steps the kernel attaches the key to the
//! /// process's address space in the engine, so that no flush is missed.
//! fn share<M: Mmio, B: DmaBarriers, L: RingLock>(
//!     smmu: &Smmu<M, B, L>,
//!     stream: StreamId,
//!     contexts: DmaRegion,
//!     process: &TranslationConfig,
//!     attach_in_engine: impl FnOnce(AttachKey),
//!     wait: &mut dyn FnMut() -> bool,
//! ) -> Result<AttachKey, AttachError> {
//!     let setup = StreamSetup { stream, contexts, substream_bits: 0, ats: None };
//!     smmu.add_stream(setup, wait)?;
//!     let key = smmu.reserve(&[Context { stream, substream: None }], process)?;
//!     attach_in_engine(key);
//!     smmu.install(key, wait)?;
//!     Ok(key)
//! }
//! ```

pub mod atc;
mod attach;
pub mod command;
pub mod config;
mod context;
mod error;
mod event;
pub mod features;
mod ids;
mod init;
mod mistaken;
mod queue;
mod range;
mod recovery;
pub mod registers;
mod retry;
mod seal;
pub mod span;
mod state;
mod stream_table;
mod streams;
mod submit;
mod wait;

pub use super::memory::MemoryError;
pub use config::{
    AsidSource, Cacheability, Completion, Config, Context, Memory, Regime, Shareability,
    StreamSetup, TableUpdates, TranslationConfig,
};
pub use error::{AttachError, InitError, Unsupported};
pub use event::Event;
pub use ids::{Asid, Granule, StreamId, SubstreamId, Vmid};

use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb};
use crate::sync::UnsafeCell;
use core::fmt;
use core::task::Poll;
use features::Features;
use registers::GlobalErrors;
use state::{Hardware, Locked, State};

/// One SMMUv3 with its command queue, and the devices behind it.
///
/// `SLOTS` bounds streams, address spaces and contexts, each for itself; `PENDING` bounds the ATC_INV commands between
/// two seals. All memory is within the value and the regions that it was given.
pub struct Smmu<M, B, L, const SLOTS: usize = 32, const PENDING: usize = 128> {
    hardware: Hardware<M, B>,
    lock: L,
    state: UnsafeCell<State<SLOTS, PENDING>>,
}

// SAFETY: the state is reached through `locked` alone, under the ring lock; the rest is immutable and itself `Sync`.
unsafe impl<M: Mmio, B: DmaBarriers, L: RingLock, const S: usize, const P: usize> Sync
    for Smmu<M, B, L, S, P>
{
}

impl<M, B, L, const S: usize, const P: usize> fmt::Debug for Smmu<M, B, L, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smmu")
            .field("features", &self.hardware.features)
            .field("config", &self.hardware.config)
            .finish_non_exhaustive()
    }
}

impl<M, B, L, const SLOTS: usize, const PENDING: usize> Smmu<M, B, L, SLOTS, PENDING>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Takes over an SMMU and builds its tables in the memory given. Only identification registers are read.
    ///
    /// # Errors
    /// [`InitError::Unsupported`], [`InitError::Memory`], [`InitError::QueueTooSmall`].
    pub fn new(
        registers: M,
        barriers: B,
        lock: L,
        memory: Memory,
        config: Config,
    ) -> Result<Self, InitError> {
        let features = Features::discover(&registers);
        init::check(&registers, &features, &config, memory.events.is_some())?;
        let state = init::build(memory, &features, &config)?;
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

    /// What the implementation offers.
    pub const fn features(&self) -> &Features {
        &self.hardware.features
    }

    /// The oldest event, where one was recorded. From any context; bounded.
    pub fn next_event(&self) -> Option<Event> {
        self.locked(|l| {
            let events = l.state.events.as_mut()?;
            events.next(&l.hw.registers, &l.hw.barriers)
        })
    }

    /// To be called from the global-error interrupt, where there is one: takes one step of recovery, and gives the errors that
    /// are active afterwards. Errors of queues that the driver does not watch are acknowledged.
    pub fn on_global_error(&self) -> GlobalErrors {
        self.locked(|l| {
            l.tend();
            let active = l.active_errors();
            l.acknowledge(active - (GlobalErrors::CMDQ | GlobalErrors::SERVICE_FAILURE));
            active
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

// SAFETY: a fence is reached when CMDQ_CONS, or a message ordered behind it, has passed a CMD_SYNC behind everything queued before
// the seal; ATC_INVs stand behind a CMD_SYNC of their own; errors hold every later fence back until they are settled
// (`recovery`); every method runs a bounded section under the ring lock.
unsafe impl<M, B, L, const S: usize, const P: usize> SecondaryTlb for Smmu<M, B, L, S, P>
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
        needs.set(
            Needs::UPGRADES,
            !Defect::SmmuUpgradesNotNeeded.is_put_back(),
        );
        needs.set(Needs::KERNEL_TABLES, config.kernel_tables);
        needs.set(Needs::SNOOPS_BROADCASTS, config.broadcast);
        needs
    }
}
