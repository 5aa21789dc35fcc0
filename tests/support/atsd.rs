//! A scripted nest MMU with ATSD registers, and the firmware and devices around it.
//!
//! It imports no layout from the library. Sources of its constants: Linux `asm/pnv-ocxl.h`, `npu-dma.c` and `ocxl_internal.h`; bits are
//! numbered from the left there.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::ring_lock::Lock;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown::iommu::ocxl::{Context, Host, HostError, Pid};

const LNCH: usize = 0x00;
const AVA: usize = 0x08;
const STAT: usize = 0x10;

const fn bit(ibm: u32) -> u64 {
    1 << (63 - ibm)
}

/// What happened, in order. PASIDs and PIDs by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// LNCH was written, after this AVA or without.
    Launch(Option<u64>, u64),
    Terminate(u32),
    Terminated(u32),
    ClearPe(u32),
    FlushProcess(u32),
}

/// How a device takes the order to end a context's accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manners {
    Prompt,
    /// Terminated after so many looks.
    After(u32),
    Never,
    /// Says that it cannot.
    Refuses,
}

pub(crate) struct Inner {
    registers: [u8; 24],
    ava_written: bool,
    ordered: bool,
    in_flight: Option<u64>,
    /// STAT stays set while set.
    pub(crate) stalled: bool,
    /// STAT reads as pending so many times after a launch.
    pub(crate) slow: u32,
    left: u32,
    /// Nobody answers: ones are read, and what is written or was launched is lost.
    pub(crate) dead: bool,
    pub(crate) stat_reads: u32,
    pub(crate) log: Vec<Event>,
    pub(crate) barriers: u32,
    /// Rules that were broken.
    pub(crate) broken: Vec<String>,
    /// PID, address of the page, its size as AP, to what the entry held when it was filled.
    pub(crate) nest: HashMap<(u64, u64, u64), u64>,
    pub(crate) manners: HashMap<u32, Manners>,
    pub(crate) terminating: HashSet<u32>,
    /// The firmware is busy so many times, and then refuses so many times.
    pub(crate) firmware_busy: u32,
    pub(crate) firmware_refuses: u32,
    /// Where the Scheduled Process Area is.
    pub(crate) spa: u64,
    /// A PASID whose element is looked at in every barrier: state and software state.
    pub(crate) watched: Option<u32>,
    pub(crate) seen: Vec<(u64, u64)>,
}

impl Inner {
    fn get(&self, offset: usize) -> u64 {
        u64::from_be_bytes(self.registers[offset..offset + 8].try_into().unwrap())
    }

    fn set(&mut self, offset: usize, value: u64) {
        self.registers[offset..offset + 8].copy_from_slice(&value.to_be_bytes());
    }

    fn launch(&mut self) {
        let word = self.get(LNCH);
        let by_page = word & (bit(11) | bit(12)) == 0;
        if self.in_flight.is_some() {
            self.broken.push("a launch while one is under way".into());
        }
        if !std::mem::take(&mut self.ordered) {
            self.broken.push("a launch without a barrier".into());
        }
        if by_page != std::mem::take(&mut self.ava_written) {
            self.broken.push(format!("{word:#x} with a wrong AVA"));
        }
        let address = by_page.then(|| self.get(AVA));
        self.log.push(Event::Launch(address, word));
        self.in_flight = Some(word);
        self.left = self.slow;
        self.set(STAT, bit(0));
    }

    /// What was launched is complete.
    pub(crate) fn complete(&mut self) {
        let Some(word) = self.in_flight.take() else {
            return;
        };
        self.set(STAT, 0);
        let pid = word >> (63 - 38) & 0xf_ffff;
        let ap = word >> (63 - 17) & 7;
        let address = (word & bit(12) == 0).then(|| self.get(AVA));
        self.nest.retain(|(of, page, size), _| {
            *of != pid || address.is_some_and(|at| at != *page || ap != *size)
        });
    }

    fn read(&mut self, offset: usize) -> u64 {
        if self.dead {
            return u64::MAX;
        }
        if offset == STAT {
            self.stat_reads += 1;
            if self.left > 0 {
                self.left -= 1;
            } else if !self.stalled {
                self.complete();
            }
        }
        self.get(offset)
    }

    fn write(&mut self, offset: usize, value: u64) {
        if self.dead {
            return;
        }
        if self.in_flight.is_some() && offset == AVA {
            self.broken.push("AVA changed under a launch".into());
        }
        self.set(offset, value);
        match offset {
            AVA => self.ava_written = true,
            LNCH => self.launch(),
            _ => self.broken.push(format!("{offset:#x} is read-only")),
        }
    }

    /// The unit was reset: what was under way never happened, and it answers again.
    pub(crate) fn reset(&mut self) {
        self.dead = false;
        self.in_flight = None;
        self.ava_written = false;
        self.registers = [0; 24];
    }

    pub(crate) fn take_log(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.log)
    }

    /// A 64-bit word of a process element, as the big-endian number that it is.
    pub(crate) fn element(&self, pasid: u32, word: usize) -> u64 {
        let at = self.spa + u64::from(pasid) * 128 + word as u64 * 8;
        // SAFETY: tests name elements of the area that they gave, which is never freed.
        u64::from_be(unsafe { (at as *const u64).read_volatile() })
    }

    fn is_valid(&self, pasid: u32) -> bool {
        self.element(pasid, 15) & 0xffff_ffff == 0x8000_0000
    }

    /// The device uses its element. Not while it is not valid: that stops the machine.
    pub(crate) fn access(&mut self, pasid: u32) {
        if !self.is_valid(pasid) {
            self.broken.push(format!("checkstop: PASID {pasid:#x}"));
        }
    }
}

/// The unit as the driver and the test hold it.
#[derive(Clone)]
pub(crate) struct Atsd(Arc<Mutex<Inner>>);

impl Atsd {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Inner {
            registers: [0; 24],
            ava_written: false,
            ordered: false,
            in_flight: None,
            stalled: false,
            slow: 0,
            left: 0,
            dead: false,
            stat_reads: 0,
            log: Vec::new(),
            barriers: 0,
            broken: Vec::new(),
            nest: HashMap::new(),
            manners: HashMap::new(),
            terminating: HashSet::new(),
            firmware_busy: 0,
            firmware_refuses: 0,
            spa: 0,
            watched: None,
            seen: Vec::new(),
        })))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(crate) fn take_log(&self) -> Vec<Event> {
        self.inner().take_log()
    }

    #[track_caller]
    pub(crate) fn assert_rules_kept(&self) {
        assert_eq!(self.inner().broken, Vec::<String>::new());
    }
}

// SAFETY: one access to the registers each, under their lock; the bytes are read as little-endian numbers.
unsafe impl Mmio for Atsd {
    fn len(&self) -> usize {
        24
    }
    fn read32(&self, _: usize) -> u32 {
        panic!("the registers have 64 bits")
    }
    fn write32(&self, _: usize, _: u32) {
        panic!("the registers have 64 bits")
    }
    fn read64(&self, offset: usize) -> u64 {
        self.inner().read(offset).swap_bytes()
    }
    fn write64(&self, offset: usize, value: u64) {
        self.inner().write(offset, value.swap_bytes());
    }
}

/// Barriers that let the unit see a launch without one, and what an element is like in each.
pub(crate) struct Barriers(pub(crate) Atsd);

// SAFETY: the unit runs in this process, and under locks.
unsafe impl DmaBarriers for Barriers {
    fn publish_tables(&self) {
        let mut inner = self.0.inner();
        if let Some(pasid) = inner.watched {
            let state = (inner.element(pasid, 0), inner.element(pasid, 15));
            inner.seen.push(state);
        }
    }
    fn before_doorbell(&self) {
        let mut inner = self.0.inner();
        inner.ordered = true;
        inner.barriers += 1;
    }
    fn after_completion(&self) {}
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

/// Firmware and devices.
pub(crate) struct Around {
    pub(crate) unit: Atsd,
    /// The link's lock, which must be open here; several threads cannot tell.
    pub(crate) lock: Option<Lock>,
}

impl Around {
    fn enter(&self) -> MutexGuard<'_, Inner> {
        if let Some(lock) = &self.lock {
            lock.assert_open();
        }
        self.unit.inner()
    }
}

fn manners(inner: &Inner, pasid: u32) -> Manners {
    inner
        .manners
        .get(&pasid)
        .copied()
        .unwrap_or(Manners::Prompt)
}

// SAFETY: nothing but tests relies on it. A context is terminated when its device is done with it.
unsafe impl Host for Around {
    fn terminate_pasid(&self, context: &Context) -> Poll<Result<(), HostError>> {
        let mut inner = self.enter();
        let pasid = context.pasid.raw();
        inner.access(pasid);
        // One accelerator ends one context at a time.
        if !inner.terminating.is_empty() {
            return Poll::Pending;
        }
        inner.log.push(Event::Terminate(pasid));
        if manners(&inner, pasid) == Manners::Refuses {
            return Poll::Ready(Err(HostError));
        }
        inner.terminating.insert(pasid);
        Poll::Ready(Ok(()))
    }

    fn termination(&self, context: &Context) -> Poll<Result<(), HostError>> {
        let mut inner = self.enter();
        let pasid = context.pasid.raw();
        inner.access(pasid);
        match manners(&inner, pasid) {
            Manners::Never => return Poll::Pending,
            Manners::After(looks) if looks > 0 => {
                inner.manners.insert(pasid, Manners::After(looks - 1));
                return Poll::Pending;
            }
            _ => {}
        }
        inner.terminating.remove(&pasid);
        inner.log.push(Event::Terminated(pasid));
        Poll::Ready(Ok(()))
    }

    fn clear_pe_cache(&self, context: &Context) -> Poll<Result<(), HostError>> {
        let mut inner = self.enter();
        let pasid = context.pasid.raw();
        if (0..16).any(|word| inner.element(pasid, word) != 0) {
            inner
                .broken
                .push(format!("{pasid:#x} would be cached again"));
        }
        if inner.firmware_busy > 0 {
            inner.firmware_busy -= 1;
            return Poll::Pending;
        }
        if inner.firmware_refuses > 0 {
            inner.firmware_refuses -= 1;
            return Poll::Ready(Err(HostError));
        }
        inner.log.push(Event::ClearPe(pasid));
        Poll::Ready(Ok(()))
    }

    fn flush_process(&self, pid: Pid) {
        let mut inner = self.enter();
        inner.log.push(Event::FlushProcess(pid.raw()));
        inner.nest.retain(|(of, ..), _| *of != u64::from(pid.raw()));
    }
}
