//! A scripted VT-d unit: registers, a queue that runs when the script says so, and the rules that a driver may break.
//!
//! It imports no layout from the library. Sources of its constants: the VT-d specification 6.5.2 and 11.4, as QEMU
//! `intel_iommu_internal.h` and Linux `iommu.h` have them.

use crate::regions;
pub(crate) use crate::ring_lock::{Lock, turns};
use std::sync::{Arc, Mutex, MutexGuard};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::{DmaBarriers, DmaRegion, Mmio};
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Pasid, SourceId, TranslationConfig,
    Vtd, pasid_table_bytes,
};
use tlb_shootdown::secondary::AttachKey;

pub(crate) const GCMD: usize = 0x18;
pub(crate) const GSTS: usize = 0x1c;
pub(crate) const RTADDR: usize = 0x20;
pub(crate) const FSTS: usize = 0x34;
pub(crate) const IQH: usize = 0x80;
pub(crate) const IQT: usize = 0x88;
pub(crate) const IQA: usize = 0x90;
pub(crate) const IQER: usize = 0xb0;

pub(crate) const IQE: u32 = 1 << 4;
pub(crate) const ITE: u32 = 1 << 6;
const TE: u32 = 1 << 31;
const SRTP: u32 = 1 << 30;
const WBF: u32 = 1 << 27;
const QIE: u32 = 1 << 26;

/// ND = 6, PSI, MAMV = 18, drains, FL1GP.
pub(crate) const CAP: u64 = 6 | 1 << 39 | 18 << 48 | 3 << 54 | 1 << 56;
/// C, QI, DT, PSS = 19, PASID, PDS, SMTS, FLTS, SMPWC.
pub(crate) const ECAP: u64 =
    1 | 1 << 1 | 1 << 2 | 19 << 35 | 1 << 40 | 1 << 42 | 1 << 43 | 1 << 47 | 1 << 48;

pub(crate) struct Inner {
    registers: Vec<u32>,
    /// Nothing is executed while set.
    pub(crate) stalled: bool,
    /// GSTS follows GCMD.
    pub(crate) acknowledges: bool,
    /// Every descriptor consumed, in order.
    log: Vec<[u64; 2]>,
    /// Writes of registers: offset and value.
    pub(crate) writes: Vec<(usize, u64)>,
    /// Types that are refused, each that many times, for this reason.
    pub(crate) refused: Vec<(u8, u32, u64)>,
    /// A device that does not answer.
    pub(crate) silent: Option<u16>,
    /// The write buffer is not empty, and stays so.
    pub(crate) buffered: bool,
    /// How often the driver has taken in that something is complete.
    pub(crate) taken_in: u32,
    /// Rules that were broken.
    pub(crate) broken: Vec<String>,
    timed_out: Option<u16>,
    ordered: bool,
}

impl Inner {
    pub(crate) fn get(&self, offset: usize) -> u64 {
        u64::from(self.registers[offset / 4]) | u64::from(self.registers[offset / 4 + 1]) << 32
    }

    pub(crate) fn set(&mut self, offset: usize, value: u64) {
        self.registers[offset / 4] = value as u32;
        self.registers[offset / 4 + 1] = (value >> 32) as u32;
    }

    fn size(&self) -> u64 {
        0x1000 << (self.get(IQA) & 7)
    }

    /// Bytes of a descriptor: IQA.DW, bit 11.
    fn width(&self) -> u64 {
        if self.get(IQA) & 1 << 11 != 0 { 32 } else { 16 }
    }

    /// The descriptor at the head.
    fn entry(&self) -> [u64; 4] {
        let at = ((self.get(IQA) & !0xfff) + self.get(IQH)) as *const u64;
        let words = self.width() as usize / 8;
        std::array::from_fn(|word| match word < words {
            // SAFETY: the driver gave the base of a live queue, and the head lies within it.
            true => unsafe { at.wrapping_add(word).read_volatile() },
            false => 0,
        })
    }

    fn refuse(&mut self, reason: u64) {
        self.registers[FSTS / 4] |= IQE;
        self.set(IQER, reason);
    }

    pub(crate) fn run(&mut self, most: u32) {
        for _ in 0..most {
            let stopped = self.registers[FSTS / 4] & (IQE | ITE) != 0;
            let enabled = self.registers[GSTS / 4] & QIE != 0;
            if stopped || !enabled || self.get(IQH) == self.get(IQT) {
                return;
            }
            let [w0, w1, w2, w3] = self.entry();
            if (w2, w3) != (0, 0) {
                self.broken.push(format!("upper half {w2:#x} {w3:#x}"));
            }
            // PASIDs are known to 256-bit queues alone: an invalid type (3) here.
            if self.width() == 16 && w0 & 0xf > 5 {
                self.broken.push(format!("{w0:#x} in a 128-bit queue"));
                return self.refuse(3);
            }
            for (kind, times, reason) in &mut self.refused {
                if u64::from(*kind) == w0 & 0xf && *times > 0 {
                    *times -= 1;
                    let reason = *reason;
                    return self.refuse(reason);
                }
            }
            self.set(IQH, (self.get(IQH) + self.width()) % self.size());
            self.log.push([w0, w1]);
            self.execute(w0, w1);
        }
    }

    fn execute(&mut self, w0: u64, w1: u64) {
        let device = match w0 & 0xf {
            3 => (w0 >> 32) as u16,
            8 => (w0 >> 16) as u16,
            5 => return self.wait(w0, w1),
            _ => return,
        };
        if self.silent == Some(device) {
            self.timed_out = Some(device);
        }
    }

    fn wait(&mut self, w0: u64, w1: u64) {
        if w0 >> 4 & 3 != 2 {
            self.broken
                .push(format!("a wait without a status write alone: {w0:#x}"));
        }
        if self.timed_out.take().is_some() {
            self.registers[FSTS / 4] |= ITE;
            return;
        }
        // SAFETY: the driver gave the address of its live status word.
        unsafe { (w1 as *mut u32).write_volatile((w0 >> 32) as u32) };
    }

    fn write(&mut self, offset: usize, value: u64) {
        self.writes.push((offset, value));
        match offset {
            GCMD if self.acknowledges => {
                let value = value as u32;
                let status = self.registers[GSTS / 4];
                if value & QIE != 0 && status & QIE == 0 {
                    self.set(IQH, 0);
                }
                let kept = status & SRTP | value & SRTP;
                let flushing = if self.buffered { value & WBF } else { 0 };
                self.registers[GSTS / 4] = value & (TE | QIE | 1 << 25) | kept | flushing;
            }
            GCMD => {}
            FSTS => self.registers[FSTS / 4] &= !(value as u32),
            IQT => {
                if self.registers[GSTS / 4] & QIE != 0 && !std::mem::take(&mut self.ordered) {
                    self.broken.push("a doorbell without a barrier".into());
                }
                if !value.is_multiple_of(self.width()) || value >= self.size() {
                    self.broken.push(format!("a tail at {value:#x}"));
                }
                self.set(IQT, value);
            }
            _ => self.set(offset, value),
        }
        if !self.stalled && matches!(offset, IQT) {
            self.run(u32::MAX);
        }
    }

    /// The write buffer is empty.
    pub(crate) fn drain_buffer(&mut self) {
        self.registers[GSTS / 4] &= !WBF;
    }

    pub(crate) fn take_log(&mut self) -> Vec<[u64; 2]> {
        std::mem::take(&mut self.log)
    }
}

/// The unit as the driver and the test hold it.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub(crate) fn new(cap: u64, ecap: u64) -> Self {
        let mut inner = Inner {
            registers: vec![0; 0x1000 / 4],
            stalled: false,
            acknowledges: true,
            log: Vec::new(),
            writes: Vec::new(),
            refused: Vec::new(),
            silent: None,
            buffered: false,
            taken_in: 0,
            broken: Vec::new(),
            timed_out: None,
            ordered: false,
        };
        inner.set(0x08, cap);
        inner.set(0x10, ecap);
        Self(Arc::new(Mutex::new(inner)))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The descriptors since the last call; of waits, the first word's lower half alone: SW, and FN or not.
    pub(crate) fn take_log(&self) -> Vec<[u64; 2]> {
        let log = self.inner().take_log();
        let short = |[w0, w1]: [u64; 2]| match w0 & 0xf {
            5 => [w0 & 0xffff_ffff, 0],
            _ => [w0, w1],
        };
        log.into_iter().map(short).collect()
    }

    #[track_caller]
    pub(crate) fn assert_rules_kept(&self) {
        assert_eq!(self.inner().broken, Vec::<String>::new());
    }
}

// SAFETY: one access to the register array each, under its lock.
unsafe impl Mmio for Fake {
    fn len(&self) -> usize {
        0x1000
    }
    fn read32(&self, offset: usize) -> u32 {
        self.inner().registers[offset / 4]
    }
    fn write32(&self, offset: usize, value: u32) {
        self.inner().write(offset, value.into());
    }
    fn read64(&self, offset: usize) -> u64 {
        self.inner().get(offset)
    }
    fn write64(&self, offset: usize, value: u64) {
        self.inner().write(offset, value);
    }
}

/// Barriers that let the unit see a doorbell without one.
pub(crate) struct Barriers(Fake);

// SAFETY: the unit runs in this process, and under locks.
unsafe impl DmaBarriers for Barriers {
    fn publish_tables(&self) {}
    fn before_doorbell(&self) {
        self.0.inner().ordered = true;
    }
    fn after_completion(&self) {
        self.0.inner().taken_in += 1;
    }
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

/// Memory that begins at a page.
pub(crate) fn region(len: usize) -> DmaRegion {
    regions::region(len, 0x1000)
}

/// The word at an index of memory that the driver has.
pub(crate) fn word(base: u64, index: usize) -> u64 {
    // SAFETY: tests name words within their regions, which are never freed.
    unsafe { (base as *const u64).wrapping_add(index).read_volatile() }
}

pub(crate) struct Bench<const SLOTS: usize = 64, const PENDING: usize = 64> {
    pub(crate) fake: Fake,
    pub(crate) vtd: Vtd<Fake, Barriers, Lock, SLOTS, PENDING>,
    pub(crate) lock: Lock,
}

pub(crate) fn memory() -> Memory {
    Memory {
        queue: region(0x1000),
        status: region(0x1000),
        root: region(0x1000),
        contexts: region(0x2000),
    }
}

impl Bench {
    /// A unit that is not up yet.
    pub(crate) fn cold(cap: u64, ecap: u64, config: Config) -> Self {
        Self::sized_cold(cap, ecap, config)
    }

    pub(crate) fn new(cap: u64, ecap: u64, config: Config) -> Self {
        Self::sized(cap, ecap, config)
    }

    pub(crate) fn usual() -> Self {
        Self::new(CAP, ECAP, Config::new())
    }
}

impl<const SLOTS: usize, const PENDING: usize> Bench<SLOTS, PENDING> {
    fn sized_cold(cap: u64, ecap: u64, config: Config) -> Self {
        let (fake, lock) = (Fake::new(cap, ecap), Lock::default());
        let barriers = Barriers(fake.clone());
        let vtd = Vtd::new(fake.clone(), barriers, lock.clone(), memory(), config).unwrap();
        Self { fake, vtd, lock }
    }

    /// One that is up, with so many places.
    pub(crate) fn sized(cap: u64, ecap: u64, config: Config) -> Self {
        let bench = Self::sized_cold(cap, ecap, config);
        bench.vtd.init(&mut turns(&bench.lock, 10)).unwrap();
        bench.fake.take_log();
        bench.fake.inner().writes.clear();
        bench
    }

    /// Adds a device with 512 PASIDs; gives where its PASID table is.
    pub(crate) fn add_device(&self, sid: u16, ats: bool) -> u64 {
        let pasids = region(pasid_table_bytes(9));
        let at = pasids.phys().raw();
        self.add(sid, ats, Some(pasids));
        at
    }

    /// Adds a device to a unit in legacy mode.
    pub(crate) fn add_legacy_device(&self, sid: u16, ats: bool) {
        self.add(sid, ats, None);
    }

    fn add(&self, sid: u16, ats: bool, pasids: Option<DmaRegion>) {
        let setup = DeviceSetup {
            device: SourceId(sid),
            pasid_bits: if pasids.is_some() { 9 } else { 0 },
            pasids,
            device_tlb: ats.then_some(DeviceTlb {
                queue_depth: 4,
                physical_function: SourceId(sid),
                flush_twice: false,
            }),
            page_requests: false,
        };
        let mut turns = turns(&self.lock, 10);
        self.vtd.add_device(setup, &mut turns).unwrap();
    }

    pub(crate) fn attach(&self, contexts: &[(u16, Option<u32>)]) -> AttachKey {
        let mut turns = turns(&self.lock, 10);
        let key = self.vtd.attach(&named(contexts), &TRANSLATION, &mut turns);
        self.fake.take_log();
        key.unwrap()
    }

    /// The first half of an attach.
    pub(crate) fn reserve(&self, contexts: &[(u16, Option<u32>)]) -> AttachKey {
        self.vtd.reserve(&named(contexts), &TRANSLATION).unwrap()
    }
}

const TRANSLATION: TranslationConfig = TranslationConfig {
    root: PhysAddr::new(0x4_5678_9000),
    levels: Levels::Four,
};

/// Contexts by their requester and PASID.
fn named(contexts: &[(u16, Option<u32>)]) -> Vec<Context> {
    let contexts = contexts.iter().map(|&(sid, pasid)| Context {
        device: SourceId(sid),
        pasid: pasid.map(|pasid| Pasid::new(pasid).unwrap()),
    });
    contexts.collect()
}
