//! Bring-up and switching off (VT-d 6.5.2 and 11.4.4).

use super::Vtd;
use super::config::{Config, Memory, Mode};
use super::devices::PHYSICAL_BITS;
use super::error::{InitError, Unsupported};
use super::features::Features;
use super::recovery::EVERYTHING;
use super::registers::{self, Faults, Global};
use super::root_table::RootTable;
use super::state::{Locked, Phase, State};
use crate::dma::{DmaBarriers, Mmio};
use crate::iommu::memory::{MemoryError, Table};
use crate::lock::RingLock;
use crate::secondary::SecondaryError;

const PAGE: usize = 0x1000;
/// log2 of it.
const PAGE_SHIFT: u32 = 12;

/// What can be checked before anything is touched.
pub(super) fn check(
    registers: &impl Mmio,
    features: &Features,
    config: &Config,
) -> Result<(), InitError> {
    let first_stage = features.scalable && features.first_stage && features.pasids;
    let legacy = config.mode == Mode::Legacy;
    let lacking = if registers.len() < registers::BLOCK_LEN || !(first_stage || legacy) {
        Unsupported::FirstStage
    } else if legacy && features.second_stage == 0 {
        Unsupported::SecondStage
    } else if !features.queued_invalidation {
        Unsupported::QueuedInvalidation
    } else if config.domain.0 == 0 || u64::from(config.domain.0) >> features.domain_bits != 0 {
        Unsupported::Domain
    } else {
        return Ok(());
    };
    Err(lacking.into())
}

/// Builds the tables and the queue in the caller's memory.
pub(super) fn build<const S: usize, const P: usize>(
    memory: Memory,
    mode: Mode,
) -> Result<State<S, P>, InitError> {
    let table = |region, bytes| Table::new(region, bytes, PAGE as u64, PHYSICAL_BITS);
    let pages = memory.queue.len() / PAGE;
    let log2_pages = pages
        .checked_ilog2()
        .ok_or(MemoryError::TooShort)?
        .min(registers::IQA_MOST_PAGES_LOG2.into());
    let log2_entries = log2_pages + PAGE_SHIFT - mode.entry_shift();
    let entries = table(memory.queue, PAGE << log2_pages)?;
    let status = table(memory.status, 8 << log2_entries)?;
    let root = table(memory.root, PAGE)?;
    let count = memory.contexts.len() / PAGE;
    let contexts = table(memory.contexts, count * PAGE)?;
    let tables = RootTable::new(root, contexts, count as u64, mode);
    Ok(State::new(log2_entries, entries, status, tables))
}

impl<M, B, L, const S: usize, const P: usize> Vtd<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Brings the unit up: from here on every device's access is refused until it is added. What the firmware or an earlier owner had
    /// switched on is switched off first, interrupt remapping excepted.
    ///
    /// `wait` is asked in every turn of a wait for the unit; `false` ends it.
    ///
    /// # Errors
    /// [`InitError::Busy`] where it is up or coming up, or was switched off with invalidations outstanding and address spaces attached
    /// that may wait for them; [`InitError::Timeout`] and [`InitError::Failed`], after which it may be called again.
    pub fn init(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        self.locked(|l| l.start())?;
        let result = self.bring_up(wait);
        self.locked(|l| {
            if result.is_ok() {
                l.state.phase = Phase::On;
            } else {
                l.state.phase = Phase::Off;
                l.stop();
            }
        });
        result
    }

    fn bring_up(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        self.locked(|l| l.take_over());
        self.switch_off(wait)?;
        self.locked(|l| l.program_root());
        self.status_becomes(Global::SET_ROOT_TABLE, true, wait)?;
        self.locked(|l| l.program_queue());
        self.set_state(Global::QUEUED_INVALIDATION, true, wait)?;
        self.locked(|l| l.state.stopped = None);
        self.run(wait, EVERYTHING, &mut |l| l.put_everything())?;
        self.set_state(Global::TRANSLATION, true, wait)
    }

    /// Switches translation and the queue off. Devices' accesses are not translated afterwards; fences that were not reached never will
    /// be, and say so.
    ///
    /// Address spaces are detached first. Those that are not can neither be released nor detached while it is off, and what their tickets
    /// hold stays held.
    /// No flush of them runs across the next [`Self::init`]: one that is queued before and sealed after it has told the devices' own TLBs
    /// nothing.
    ///
    /// # Errors
    /// [`InitError::Timeout`].
    pub fn disable(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        self.locked(|l| {
            l.refresh_outstanding();
            l.stop();
        });
        self.switch_off(wait)?;
        self.locked(|l| l.state.phase = Phase::Off);
        Ok(())
    }

    /// Translation first; then the queue, which is left only where it is empty.
    fn switch_off(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        self.set_state(Global::TRANSLATION, false, wait)?;
        let registers = &self.hardware().registers;
        if self.status().contains(Global::QUEUED_INVALIDATION) {
            keep_waiting(wait, || {
                registers.read64(registers::IQH) == registers.read64(registers::IQT)
            })?;
        }
        self.set_state(Global::QUEUED_INVALIDATION, false, wait)
    }

    /// Switches a state on or off, where it is not, and waits until it has happened.
    fn set_state(
        &self,
        state: Global,
        on: bool,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), InitError> {
        self.locked(|l| {
            if l.state.commanded.contains(state) != on {
                l.state.commanded.set(state, on);
                l.command(Global::empty());
            }
        });
        self.status_becomes(state, on, wait)
    }

    fn status_becomes(
        &self,
        bit: Global,
        on: bool,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), InitError> {
        keep_waiting(wait, || {
            let status = self.hardware().registers.read32(registers::GSTS);
            status != u32::MAX && Global::from_bits_truncate(status).contains(bit) == on
        })
    }

    fn status(&self) -> Global {
        Global::from_bits_truncate(self.hardware().registers.read32(registers::GSTS))
    }
}

fn keep_waiting(wait: &mut dyn FnMut() -> bool, done: impl Fn() -> bool) -> Result<(), InitError> {
    while !done() {
        if !wait() {
            return Err(InitError::Timeout);
        }
    }
    Ok(())
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    fn start(&mut self) -> Result<(), InitError> {
        let complete = self.state.ring.written() == self.state.completed && !self.is_open();
        // A fence that is held back until the devices have been asked is not reached by switching off and on.
        let idle = complete && self.state.recovery.is_none();
        let attached = !self.state.spaces.is_empty();
        if self.state.phase != Phase::Off || (attached && !idle) {
            return Err(InitError::Busy);
        }
        self.state.phase = Phase::Starting;
        // Until the queue is programmed: what was submitted before would be discarded, and its fence with it be taken for reached.
        self.stop();
        Ok(())
    }

    fn stop(&mut self) {
        self.state
            .stopped
            .get_or_insert(SecondaryError::QueueStopped);
    }

    /// The states that are on, which every command repeats.
    fn take_over(&mut self) {
        let status = self.hw.registers.read32(registers::GSTS);
        self.state.commanded = Global::from_bits_truncate(status) & Global::STATES;
    }

    fn program_root(&mut self) {
        let tables = &self.state.tables;
        if !self.hw.features.coherent {
            tables.clean(&self.hw.barriers);
        }
        self.hw.barriers.publish_tables();
        let kind = match self.hw.config.mode {
            Mode::Scalable => registers::RTADDR_SCALABLE,
            Mode::Legacy => 0,
        };
        self.hw
            .registers
            .write64(registers::RTADDR, tables.phys() | kind);
        self.command(Global::SET_ROOT_TABLE);
    }

    /// Writes what can only be written while the queue is off: it begins at its first entry.
    fn program_queue(&mut self) {
        self.state.discard_submissions();
        self.acknowledge(Faults::QUEUE | Faults::COMPLETION | Faults::TIME_OUT);
        let registers = &self.hw.registers;
        registers.write64(registers::IQT, 0);
        let mode = self.hw.config.mode;
        let width = match mode {
            Mode::Scalable => registers::IQA_WIDE,
            Mode::Legacy => 0,
        };
        let pages = (self.state.ring.usable() + 1).ilog2() + mode.entry_shift() - PAGE_SHIFT;
        let queue = self.state.entries.phys() | width | u64::from(pages);
        registers.write64(registers::IQA, queue);
    }
}
