//! Bring-up in the manual's order (IHI 0070 6.3.26), and switching off.

use super::Smmu;
use super::command::Command;
use super::config::{Completion, Config, Memory, Regime};
use super::error::{InitError, Unsupported};
use super::event::EventQueue;
use super::features::Features;
use super::registers::{self, Cr0, Cr2};
use super::state::{Locked, Phase, State};
use super::stream_table::StreamTable;
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::iommu::memory::{MemoryError, Table};
use crate::iommu::wait::Halt;
use crate::lock::RingLock;
use crate::secondary::SecondaryError;

/// The smallest command queue: a release of one context with a device TLB takes 6 entries, 10 where everything is repeated.
const fn least_queue_bits(config: &Config) -> u8 {
    if config.repeat_invalidations { 4 } else { 3 }
}

/// What can be checked before anything is touched.
pub(super) fn check(
    registers: &impl Mmio,
    features: &Features,
    config: &Config,
    with_events: bool,
) -> Result<(), InitError> {
    let needed = if with_events {
        registers::EVENTS_LEN
    } else {
        registers::PAGE_0_LEN
    };
    let lacking = if registers.len() < needed || !features.stage_1 || !features.aarch64_tables {
        Unsupported::Stage1
    } else if config.regime == Regime::El2Host && !features.el2 {
        Unsupported::El2
    } else if config.broadcast && !features.broadcast {
        Unsupported::Broadcast
    } else if config.completion == Completion::Msi && !(features.msi && features.coherent) {
        Unsupported::Msi
    } else if config.completion == Completion::Sev && !features.sev {
        Unsupported::Sev
    } else {
        return Ok(());
    };
    Err(lacking.into())
}

/// Builds the tables and queues in the caller's memory.
pub(super) fn build<const S: usize, const P: usize>(
    memory: Memory,
    features: &Features,
    config: &Config,
) -> Result<State<S, P>, InitError> {
    let output_bits = features.output_bits;
    let (commands, log2_commands) = largest(
        memory.commands,
        16,
        features.command_queue_bits,
        output_bits,
    )?;
    // The erratum's CMD_SYNCs need room as well.
    let least = least_queue_bits(config) + u8::from(features.sync_often);
    if log2_commands < least {
        return Err(InitError::QueueTooSmall);
    }
    let (streams, log2_streams) = largest(memory.streams, 64, features.stream_bits, output_bits)?;
    let events = match memory.events {
        Some(region) => {
            let (table, log2) = largest(region, 32, features.event_queue_bits, output_bits)?;
            Some(EventQueue::new(table, log2))
        }
        None => None,
    };
    let message = match (memory.message, config.completion) {
        (Some(region), Completion::Msi) => Some(Table::new(region, 8, 8, output_bits)?),
        (None, Completion::Msi) => return Err(MemoryError::TooShort.into()),
        _ => None,
    };
    Ok(State::new(
        log2_commands,
        commands,
        StreamTable::new(streams, log2_streams),
        events,
        message,
        config.completion,
    ))
}

/// The largest table of a power of two entries that fits a region and the implementation, and its log2.
fn largest(
    region: DmaRegion,
    entry: usize,
    most: u8,
    output_bits: u8,
) -> Result<(Table, u8), MemoryError> {
    let entries = region.len() / entry;
    let log2 = entries
        .checked_ilog2()
        .ok_or(MemoryError::TooShort)?
        .min(u32::from(most));
    let bytes = entry << log2;
    // The smallest alignment of a base register is 64 bytes for the stream table and 32 for queues.
    let align = (bytes as u64).max(64);
    Ok((Table::new(region, bytes, align, output_bits)?, log2 as u8))
}

impl<M, B, L, const S: usize, const P: usize> Smmu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Brings the SMMU up: from here on every device's access is refused until its stream is added.
    ///
    /// Before, accesses are treated as the firmware left it (SMMU_GBPA). `wait` is asked in every turn of a wait for the
    /// SMMU; `false` ends it.
    ///
    /// # Errors
    /// [`InitError::Busy`] where it is up or coming up, or was switched off with commands outstanding, or with device TLBs whose
    /// invalidation is unproven, and address spaces attached that may wait for them; [`InitError::Timeout`] and [`InitError::Failed`], after which it may be called again.
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
        self.set_cr0(Cr0::empty(), wait)?;
        self.locked(|l| l.program());
        let mut cr0 = Cr0::CMDQEN;
        self.set_cr0(cr0, wait)?;
        self.forget_everything(wait)?;
        if self.locked(|l| l.state.events.is_some()) {
            cr0 |= Cr0::EVENTQEN;
            self.set_cr0(cr0, wait)?;
        }
        if self.features().ats {
            // Translated accesses are checked, so that a device can be cut off.
            cr0 |= Cr0::ATSCHK;
            self.set_cr0(cr0, wait)?;
        }
        self.set_interrupts(wait)?;
        self.set_cr0(cr0 | Cr0::SMMUEN, wait)
    }

    /// Drops what an earlier owner left in the caches.
    fn forget_everything(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), Halt> {
        let el2 = self.features().el2;
        let commands = if el2 { 4 } else { 3 };
        self.run(wait, commands, &mut |l| {
            l.put(Command::cfgi_all());
            l.put_sync(Command::sync());
            if el2 {
                l.put(Command::tlbi_el2_all());
            }
            l.put(Command::tlbi_nsnh_all());
        })
    }

    /// Switches translation and queues off. Devices' accesses are treated as SMMU_GBPA says afterwards; fences that were not
    /// reached never will be, and say so.
    ///
    /// Address spaces are detached first. Those that are not can neither be released nor detached while it is off, and what their
    /// tickets hold stays held.
    ///
    /// # Errors
    /// [`InitError::Timeout`].
    pub fn disable(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        self.locked(|l| {
            l.refresh_from_register();
            l.stop();
        });
        self.set_cr0(Cr0::empty(), wait)?;
        self.locked(|l| l.state.phase = Phase::Off);
        Ok(())
    }

    fn set_cr0(&self, value: Cr0, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        let registers = &self.hardware().registers;
        registers.write32(registers::CR0, value.bits());
        let acknowledged = || {
            let read = registers.read32(registers::CR0ACK);
            read != u32::MAX && Cr0::from_bits_truncate(read) == value
        };
        keep_waiting(wait, acknowledged)
    }

    fn set_interrupts(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        let registers = &self.hardware().registers;
        let value = self.hardware().config.interrupts.bits();
        registers.write32(registers::IRQ_CTRL, value);
        keep_waiting(wait, || registers.read32(registers::IRQ_CTRLACK) == value)
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
        let ring = &self.state.ring;
        let consumed = ring.written() == ring.consumed() && !self.is_open();
        // A fence that is held back until the devices have been asked is not reached by switching off and on.
        let idle = consumed && self.state.recovery.is_none();
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

    /// Writes what can only be written while everything is off.
    fn program(&mut self) {
        let registers = &self.hw.registers;
        self.state.discard_submissions();
        self.state.stopped = None;
        self.acknowledge(self.active_errors());
        let attributes = if self.hw.features.coherent {
            registers::CR1_COHERENT
        } else {
            registers::CR1_NON_COHERENT
        };
        registers.write32(registers::CR1, attributes);
        let mut cr2 = Cr2::RECINVSID;
        cr2.set(Cr2::E2H, self.hw.config.regime == Regime::El2Host);
        cr2.set(Cr2::PTM, !self.hw.config.broadcast);
        registers.write32(registers::CR2, cr2.bits());
        let streams = &self.state.stream_table;
        if !self.hw.features.coherent {
            streams.clean(&self.hw.barriers);
        }
        self.hw.barriers.publish_tables();
        registers.write64(
            registers::STRTAB_BASE,
            streams.phys() | registers::BASE_READ_ALLOCATE,
        );
        registers.write32(
            registers::STRTAB_BASE_CFG,
            u32::from(streams.log2_entries()),
        );
        let slots = self.state.ring.usable();
        registers.write64(
            registers::CMDQ_BASE,
            self.state.entries.phys() | registers::BASE_READ_ALLOCATE | u64::from(slots.ilog2()),
        );
        let position = self.state.ring.wrapped(self.state.ring.written()) as u32;
        registers.write32(registers::CMDQ_PROD, position);
        registers.write32(registers::CMDQ_CONS, position);
        if let Some(events) = &mut self.state.events {
            events.program(registers);
        }
    }
}
