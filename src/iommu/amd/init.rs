//! Bring-up and switching off (AMD 48882 3.4; the order of Linux `early_enable_iommu`).

use super::Iommu;
use super::command::Command;
use super::config::{Config, Memory};
use super::device_table::{self, DeviceTable};
use super::error::{InitError, Unsupported};
use super::event::EventLog;
use super::features::Features;
use super::ids::{DeviceId, DomainId};
use super::registers::{self, Control, Status};
use super::span::Span;
use super::state::{Locked, Phase, State};
use crate::dma::{DmaBarriers, DmaRegion, Mmio};
use crate::iommu::memory::{MemoryError, Table};
use crate::iommu::wait::Halt;
use crate::lock::RingLock;

/// Bits of a physical address in every table and command.
pub(super) const OUTPUT_BITS: u8 = 52;
const PAGE: u64 = 4096;

/// What can be checked before anything is touched.
pub(super) fn check(
    registers: &impl Mmio,
    features: &Features,
    config: &Config,
) -> Result<(), InitError> {
    if registers.len() < registers::REGISTERS_LEN {
        return Err(Unsupported::Registers.into());
    }
    if config.snp && !features.snp {
        return Err(Unsupported::Snp.into());
    }
    Ok(())
}

/// Builds the tables and buffers in the caller's memory.
pub(super) fn build<const S: usize, const P: usize>(
    memory: Memory,
    config: &Config,
) -> Result<State<S, P>, InitError> {
    let (commands, log2_commands) = buffer(memory.commands)?;
    let events = match memory.events {
        Some(region) => {
            let (table, log2) = buffer(region)?;
            Some(EventLog::new(table, log2))
        }
        None => None,
    };
    let pages = (memory.devices.len() as u64 / PAGE).min(registers::MOST_DEVICE_PAGES);
    let bytes = (pages * PAGE) as usize;
    let devices = Table::new(memory.devices, bytes, PAGE, OUTPUT_BITS)?;
    // Completions are let through by the page where SNP is enabled, so that nothing else may be in it.
    let (len, align) = if config.snp {
        (PAGE as usize, PAGE)
    } else {
        (8, 8)
    };
    let completion = Table::new(memory.completion, len, align, OUTPUT_BITS)?;
    Ok(State::new(
        log2_commands,
        commands,
        DeviceTable::new(devices, bytes / device_table::ENTRY_LEN),
        events,
        completion,
    ))
}

/// The largest buffer of a power of two entries that fits a region, and its log2.
fn buffer(region: DmaRegion) -> Result<(Table, u8), MemoryError> {
    let entries = region.len() >> registers::ENTRY_SHIFT;
    let log2 = entries.checked_ilog2().unwrap_or(0) as u8;
    if log2 < registers::LEAST_LENGTH {
        return Err(MemoryError::TooShort);
    }
    let log2 = log2.min(registers::MOST_LENGTH);
    let bytes = 1usize << (u32::from(log2) + registers::ENTRY_SHIFT);
    Ok((Table::new(region, bytes, PAGE, OUTPUT_BITS)?, log2))
}

impl<M, B, L, const S: usize, const P: usize> Iommu<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Brings the IOMMU up: from here on every device's access is refused until it is added.
    ///
    /// Before, accesses are treated as the firmware left it. `wait` is asked in every turn of a wait for the IOMMU; `false` ends it.
    ///
    /// # Errors
    /// [`InitError::Busy`] where it is up or coming up, or was switched off with commands outstanding and address spaces attached that may
    /// wait for them; [`InitError::Timeout`] and [`InitError::Failed`], after which it may be called again.
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
        self.switch_off(wait)?;
        self.locked(|l| l.program());
        let with_events = self.locked(|l| {
            l.write_control(Control::empty());
            l.state.events.is_some()
        });
        let mut running = Status::COMMAND_RUN;
        running.set(Status::EVENT_RUN, with_events);
        self.await_status(wait, |status| status.contains(running))?;
        self.locked(|l| l.state.stopped = None);
        Ok(self.forget_everything(wait)?)
    }

    /// Drops what an earlier owner left in the caches.
    fn forget_everything(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), Halt> {
        if self.features().invalidate_all {
            return self.run(wait, 1, &mut |l| l.put(Command::invalidate_all()));
        }
        let devices = self.locked(|l| l.state.device_table.devices());
        self.run_many(wait, devices, |number| {
            Command::invalidate_device(DeviceId(number as u16))
        })?;
        self.run_many(wait, 1 << 16, |number| {
            Command::invalidate_pages(DomainId(number as u16), None, Span::ALL)
        })
    }

    fn run_many(
        &self,
        wait: &mut dyn FnMut() -> bool,
        count: u64,
        command: impl Fn(u64) -> Command,
    ) -> Result<(), Halt> {
        const AT_ONCE: u64 = 1 << (registers::LEAST_LENGTH - 1);
        let mut first = 0;
        while first < count {
            let last = count.min(first + AT_ONCE);
            self.run(wait, last - first, &mut |l| {
                (first..last).for_each(|number| l.put(command(number)));
            })?;
            first = last;
        }
        Ok(())
    }

    /// Switches translation, the command buffer and the event log off. Devices' accesses reach memory untranslated afterwards; fences that
    /// were not reached never will be, and say so.
    ///
    /// Address spaces are detached first. Those that are not can neither be released nor detached while it is off, and what their
    /// tickets hold stays held.
    /// No flush of them runs across the next [`Self::init`]: one that is queued before and sealed after it has told the devices' own TLBs
    /// nothing.
    ///
    /// # Errors
    /// [`InitError::Timeout`].
    pub fn disable(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        self.locked(|l| {
            l.refresh();
            l.stop();
        });
        self.switch_off(wait)?;
        self.locked(|l| l.state.phase = Phase::Off);
        Ok(())
    }

    fn switch_off(&self, wait: &mut dyn FnMut() -> bool) -> Result<(), InitError> {
        let registers = &self.hardware().registers;
        let found = Control::from_bits_truncate(registers.read64(registers::CONTROL));
        let off = (found & Control::PLATFORM).bits();
        registers.write64(registers::CONTROL, off);
        let running = Status::COMMAND_RUN | Status::EVENT_RUN;
        self.await_status(wait, |status| !status.intersects(running))
    }

    fn await_status(
        &self,
        wait: &mut dyn FnMut() -> bool,
        reached: impl Fn(Status) -> bool,
    ) -> Result<(), InitError> {
        loop {
            let read = self.hardware().registers.read32(registers::STATUS);
            let status = Status::from_bits_truncate(u64::from(read));
            if read != u32::MAX && reached(status) {
                return Ok(());
            }
            if !wait() {
                return Err(InitError::Timeout);
            }
        }
    }
}

impl<M: Mmio, B: DmaBarriers, const S: usize, const P: usize> Locked<'_, M, B, S, P> {
    fn start(&mut self) -> Result<(), InitError> {
        let ring = &self.state.ring;
        let consumed = ring.written() == ring.consumed() && !self.is_open();
        // A fence that is held back for a second stage is not reached by switching off and on.
        let idle = consumed && self.state.batch.is_none() && self.state.deferred.len() == 0;
        let attached = !self.state.spaces.is_empty();
        if self.state.phase != Phase::Off || (attached && !idle) {
            return Err(InitError::Busy);
        }
        self.state.phase = Phase::Starting;
        // Until the buffer is programmed: what was submitted before would be discarded, and its fence with it be taken for reached.
        self.stop();
        Ok(())
    }

    /// Writes what can only be written while everything is off.
    fn program(&mut self) {
        let registers = &self.hw.registers;
        self.state.discard_submissions();
        // The word may hold what an earlier life of the buffer stored.
        self.state.completion.store(0, self.state.ring.consumed());
        self.hw.barriers.publish_tables();
        let devices = &self.state.device_table;
        registers.write64(
            registers::DEVICE_TABLE_BASE,
            devices.phys() | (devices.pages() - 1),
        );
        let slots = self.state.ring.usable() + 1;
        let length = u64::from(slots.ilog2()) << registers::LENGTH_SHIFT;
        registers.write64(registers::COMMAND_BASE, self.state.entries.phys() | length);
        let position = self.pointer(self.state.ring.written());
        registers.write32(registers::COMMAND_HEAD, position);
        registers.write32(registers::COMMAND_TAIL, position);
        if let Some(events) = &mut self.state.events {
            events.program(registers);
        }
        let completions = if self.hw.config.snp {
            self.state.completion.phys()
        } else {
            0
        };
        registers.write64(registers::EXCLUSION_BASE, completions);
        registers.write64(registers::EXCLUSION_LIMIT, completions);
        let latched = Status::EVENT_OVERFLOW | Status::EVENT_INTERRUPT | Status::WAIT_INTERRUPT;
        registers.write32(registers::STATUS, latched.bits() as u32);
    }
}
