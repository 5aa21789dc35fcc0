//! AMD IOMMU (AMD 48882): devices that share a process's page table, or a host table kept for it, told of its changes through a command
//! buffer.
//!
//! # Use
//! 1. [`Iommu::new`] with the register block, memory and a [`Config`]; [`Iommu::init`].
//! 2. [`Iommu::add_device`] for each device.
//! 3. For each address space [`Iommu::reserve`], which gives the [`AttachKey`] to attach in the engine; then [`Iommu::install`].
//! 4. After the engine's detach [`Iommu::detach`], [`Iommu::remove_device`], [`Iommu::disable`].
//!
//! Two kinds of devices share address spaces. One with PASIDs walks the process's own table through its GCR3 table
//! ([`DeviceKind::Pasid`], [`Translation::Process`]). One without walks a table in the IOMMU's own format, which the kernel keeps beside the
//! process's ([`DeviceKind::Host`], [`Translation::Host`]); invalidations are then by domain.
//!
//! In between the engine drives it as a [`SecondaryTlb`]. One shootdown is `[INVALIDATE_IOMMU_PAGES.., COMPLETION_WAIT]` with one doorbell.
//! Where devices have TLBs, `poll` submits `[INVALIDATE_IOTLB_PAGES.., COMPLETION_WAIT]` with a doorbell of its own once the first wait has
//! stored: only then can a device not be filled anew from the IOMMU's TLB.
//!
//! The head of the command buffer says what was fetched, not what was done. A fence is a position in the buffer, and a COMPLETION_WAIT
//! stores the position behind it: 64 bits that only grow, so that every caller waits for its own.
//!
//! The driver takes the whole IOMMU but the page request log, interrupt remapping and the guest APIC. Tables and buffers are coherent with
//! the CPUs' caches.
//!
//! ```
//! use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
//! use tlb_shootdown::iommu::amd::{
//!     AttachError, Config, Context, DeviceId, DeviceKind, DeviceSetup, InitError, Iommu, Memory, Pasid, Translation,
//! };
//! use tlb_shootdown::lock::{CriticalSectionLock, RingLock};
//! use tlb_shootdown::secondary::AttachKey;
//!
//! /// Brings an IOMMU up. `capability` is the first doubleword of its PCI capability, `wait` the kernel's clock: `false` gives up.
//! fn bring_up<M: Mmio, B: DmaBarriers>(
//!     registers: M,
//!     barriers: B,
//!     memory: Memory,
//!     capability: u32,
//!     wait: &mut dyn FnMut() -> bool,
//! ) -> Result<Iommu<M, B, CriticalSectionLock>, InitError> {
//!     let config = Config::new(capability);
//!     let iommu = Iommu::new(registers, barriers, CriticalSectionLock, memory, config)?;
//!     iommu.init(wait)?;
//!     Ok(iommu)
//! }
//!
//! /// Lets a device with PASIDs share a process's page table. Between the two steps the kernel attaches the key to the process's
//! /// address space in the engine, so that no flush is missed.
//! fn share<M: Mmio, B: DmaBarriers, L: RingLock>(
//!     iommu: &Iommu<M, B, L>,
//!     device: DeviceId,
//!     gcr3: DmaRegion,
//!     pasid: Pasid,
//!     process: &Translation,
//!     attach_in_engine: impl FnOnce(AttachKey),
//!     wait: &mut dyn FnMut() -> bool,
//! ) -> Result<AttachKey, AttachError> {
//!     let kind = DeviceKind::Pasid { gcr3, pasid_bits: 9, refuse_untagged: false };
//!     iommu.add_device(DeviceSetup { device, kind, ats: Some(32) }, wait)?;
//!     let key = iommu.reserve(&[Context { device, pasid: Some(pasid) }], process)?;
//!     attach_in_engine(key);
//!     iommu.install(key, wait)?;
//!     Ok(key)
//! }
//! ```

mod attach;
pub mod command;
pub mod config;
mod deferred;
mod device_table;
mod devices;
mod error;
mod event;
pub mod features;
mod gcr3;
mod halt;
mod ids;
mod init;
mod queue;
mod recovery;
pub mod registers;
mod release;
mod retry;
mod seal;
pub mod span;
mod stages;
mod state;
mod submit;
mod wait;

pub use super::memory::MemoryError;
pub use config::{
    Config, Context, CpuLevels, DeviceKind, DeviceSetup, DeviceTimeout, Memory, Translation,
};
pub use error::{AttachError, InitError, Unsupported};
pub use event::Event;
pub use ids::{DeviceId, DomainId, Pasid};

use crate::cost::Cost;
use crate::defects::Defect;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::{AttachKey, Fence, Full, Invalidation, Needs, SecondaryError, SecondaryTlb};
use crate::sync::UnsafeCell;
use core::fmt;
use core::task::Poll;
use features::Features;
use registers::Status;
use state::{Hardware, Locked, State};

/// The bytes of a GCR3 table for so many bits of PASID, at most 20: a page for up to 9, and for more a page for each 512 PASIDs with one or
/// two levels above them.
pub const fn gcr3_len(pasid_bits: u8) -> usize {
    gcr3::len(if pasid_bits > 20 { 20 } else { pasid_bits })
}

/// One AMD IOMMU with its command buffer, and the devices behind it.
///
/// `SLOTS` bounds devices, address spaces and contexts, each for itself; `PENDING` bounds the device invalidations that wait for
/// their second stage. All memory is within the value and the regions that it was given.
pub struct Iommu<M, B, L, const SLOTS: usize = 32, const PENDING: usize = 128> {
    hardware: Hardware<M, B>,
    lock: L,
    state: UnsafeCell<State<SLOTS, PENDING>>,
}

// SAFETY: the state is reached through `locked` alone, under the ring lock; the rest is immutable and itself `Sync`.
unsafe impl<M: Mmio, B: DmaBarriers, L: RingLock, const S: usize, const P: usize> Sync
    for Iommu<M, B, L, S, P>
{
}

impl<M, B, L, const S: usize, const P: usize> fmt::Debug for Iommu<M, B, L, S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Iommu")
            .field("features", &self.hardware.features)
            .field("config", &self.hardware.config)
            .finish_non_exhaustive()
    }
}

impl<M, B, L, const SLOTS: usize, const PENDING: usize> Iommu<M, B, L, SLOTS, PENDING>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Takes over an IOMMU and builds its tables in the memory given. Only the feature registers are read.
    ///
    /// # Errors
    /// [`InitError::Unsupported`], [`InitError::Memory`].
    pub fn new(
        registers: M,
        barriers: B,
        lock: L,
        memory: Memory,
        config: Config,
    ) -> Result<Self, InitError> {
        let features = Features::discover(&registers, config.capability);
        init::check(&registers, &features, &config)?;
        let state = init::build(memory, &config)?;
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

    /// The oldest event, where one was recorded. From any context; bounded. Starts the log anew where it has overflowed and is now empty.
    pub fn next_event(&self) -> Option<Event> {
        self.locked(|l| {
            l.look_at_events();
            let events = l.state.events.as_mut()?;
            let event = events.take(&l.hw.registers);
            if event.is_none() {
                l.revive_log();
            }
            event
        })
    }

    /// How many events were dropped to make room in the log, since the kernel had not taken them by [`Self::next_event`]. Those that the
    /// IOMMU itself dropped are not counted by anybody.
    pub fn dropped_events(&self) -> u32 {
        self.locked(|l| l.state.dropped_events)
    }

    /// To be called from the IOMMU's interrupt, where there is one: acknowledges it, takes one step of recovery, and gives the status
    /// that was found. Events are then to be taken by [`Self::next_event`].
    pub fn on_interrupt(&self) -> Status {
        self.locked(|l| {
            let status = l.status();
            l.acknowledge_interrupts();
            l.refresh();
            l.advance_stages();
            l.tend();
            status
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

// SAFETY: a fence is reached when a COMPLETION_WAIT behind everything queued before the seal has stored its position, and no second stage of
// that seal is outstanding (`stages`); a second stage is handed over after the first has stored, and counts as complete when the event log
// names no device that was silent (`recovery`); a halt loses no command, for the buffer goes on from the last one proven (`halt`); every
// method runs a bounded section under the ring lock.
unsafe impl<M, B, L, const S: usize, const P: usize> SecondaryTlb for Iommu<M, B, L, S, P>
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
        let rewalks = config.rewalks || Defect::AmdUpgradesNotNeeded.is_put_back();
        needs.set(Needs::UPGRADES, !rewalks);
        needs.set(Needs::KERNEL_TABLES, config.kernel_tables);
        needs
    }
}
