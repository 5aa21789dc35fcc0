//! A scripted SMMUv3: registers, a command queue that runs when the script says so, and the rules that a driver may break.
//!
//! It imports no layout from the library. Sources of its constants: Arm IHI 0070 chapters 4, 6.3 and 7; QEMU `smmuv3-internal.h`.

pub(crate) use crate::regions::{region, region_off_by};
pub(crate) use crate::ring_lock::{Lock, turns};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown::iommu::smmuv3::{
    AsidSource, Cacheability, Config, Context, Granule, Memory, Shareability, Smmu, StreamId,
    StreamSetup, SubstreamId, TableUpdates, TranslationConfig,
};
use tlb_shootdown::secondary::AttachKey;

/// When commands are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Inside the doorbell write, as QEMU does.
    AtDoorbell,
    /// So many at each read of CONS or GERROR.
    AtRead(u32),
    /// Never.
    Stalled,
}

/// Values of the identification registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) idr0: u32,
    pub(crate) idr1: u32,
    pub(crate) idr3: u32,
    pub(crate) idr5: u32,
    pub(crate) iidr: u32,
}

impl Ids {
    /// QEMU's plain SMMU, with ATS, substreams and a 48-bit output added.
    pub(crate) const fn usual() -> Self {
        Self {
            // S1P, TTF = AArch64, COHACC, ATS, ASID16, no stalls.
            idr0: 1 << 1 | 2 << 2 | 1 << 4 | 1 << 10 | 1 << 12 | 1 << 24,
            // 16-bit streams, 8-bit substreams, queues up to 2^19.
            idr1: 16 | 8 << 6 | 19 << 16 | 19 << 21,
            // RIL.
            idr3: 1 << 10,
            // 48 bits, all granules.
            idr5: 5 | 7 << 4,
            iidr: 0,
        }
    }

    pub(crate) const fn without_ranges(mut self) -> Self {
        self.idr3 = 0;
        self
    }
}

pub(crate) struct Inner {
    registers: Vec<u32>,
    /// How many bytes of them are mapped.
    pub(crate) mapped: usize,
    pub(crate) pace: Pace,
    /// Every command consumed, in order.
    pub(crate) log: Vec<[u64; 2]>,
    pub(crate) doorbells: usize,
    /// Reads of CONS.
    pub(crate) cons_reads: usize,
    /// Streams whose device answers no ATC_INV.
    pub(crate) dead: HashSet<u32>,
    /// Opcodes that are illegal, each that many times.
    pub(crate) illegal: Vec<(u8, u32)>,
    /// Fetches that abort.
    pub(crate) fetch_aborts: u32,
    /// Message writes that abort.
    pub(crate) message_aborts: bool,
    /// CR0 is acknowledged.
    pub(crate) acknowledges: bool,
    /// Rules that were broken.
    pub(crate) broken: Vec<String>,
    /// Values written to GERRORN.
    pub(crate) acknowledgements: Vec<u32>,
    /// Ranges written back from the caches.
    pub(crate) cleaned: Vec<(u64, u64)>,
    /// Called once at the next `publish_tables`.
    pub(crate) on_publish: Option<Box<dyn FnOnce() + Send>>,
    unanswered: bool,
    tlbi_open: bool,
    atc_open: bool,
    ordered: bool,
}

const IDR0: usize = 0x00;
const CR0: usize = 0x20;
const CR0ACK: usize = 0x24;
const IRQ_CTRL: usize = 0x50;
const GERROR: usize = 0x60;
const GERRORN: usize = 0x64;
const CMDQ_BASE: usize = 0x90;
const PROD: usize = 0x98;
const CONS: usize = 0x9c;

impl Inner {
    pub(crate) fn register(&self, offset: usize) -> u32 {
        self.registers[offset / 4]
    }

    pub(crate) fn register64(&self, offset: usize) -> u64 {
        u64::from(self.register(offset)) | u64::from(self.register(offset + 4)) << 32
    }

    pub(crate) fn set_register(&mut self, offset: usize, value: u32) {
        self.registers[offset / 4] = value;
    }

    fn log2(&self) -> u32 {
        self.register(CMDQ_BASE) & 0x1f
    }

    fn mask(&self) -> u32 {
        (2 << self.log2()) - 1
    }

    fn error_active(&self) -> bool {
        (self.register(GERROR) ^ self.register(GERRORN)) & 1 != 0
    }

    /// The entry at an index with wrap bit.
    pub(crate) fn entry(&self, position: u32) -> [u64; 2] {
        let base = self.register64(CMDQ_BASE) & ((1 << 56) - 1) & !0x1f;
        let base = base & !((16u64 << self.log2()) - 1);
        let slot = u64::from(position & (self.mask() >> 1));
        let at = (base + 16 * slot) as *const u64;
        // SAFETY: the driver gave the base of a live queue; an index within it stays within it.
        let first = unsafe { at.read_volatile() };
        // SAFETY: as above; entries are 16 bytes.
        let second = unsafe { at.wrapping_add(1).read_volatile() };
        [first, second]
    }

    /// Executes up to `most` commands.
    pub(crate) fn run(&mut self, most: u32) {
        for _ in 0..most {
            let cons = self.register(CONS) & self.mask();
            let enabled = self.register(CR0ACK) & 8 != 0;
            if !enabled || self.error_active() || cons == self.register(PROD) & self.mask() {
                return;
            }
            if self.fetch_aborts > 0 {
                self.fetch_aborts -= 1;
                self.fail(2);
                return;
            }
            let command = self.entry(cons);
            if let Some(error) = self.execute(command) {
                self.fail(error);
                return;
            }
            self.log.push(command);
            let kept = self.register(CONS) & 0x7f00_0000;
            self.set_register(CONS, cons.wrapping_add(1) & self.mask() | kept);
        }
    }

    fn fail(&mut self, error: u32) {
        let cons = self.register(CONS) & self.mask();
        self.set_register(CONS, cons | error << 24);
        self.set_register(GERROR, self.register(GERROR) ^ 1);
    }

    /// The reason why a command cannot be consumed, if there is one.
    fn execute(&mut self, [w0, w1]: [u64; 2]) -> Option<u32> {
        let opcode = w0 as u8;
        for (illegal, times) in &mut self.illegal {
            if *illegal == opcode && *times > 0 {
                *times -= 1;
                return Some(1);
            }
        }
        match opcode {
            0x03..=0x07 => {}
            0x10..=0x30 => {
                let ranged = matches!(opcode, 0x12 | 0x13 | 0x22 | 0x23);
                let reserved = w0 >> 12 & 0x1fff == 0 && w1 >> 8 & 3 == 0 && w1 >> 10 & 3 != 0;
                if ranged && reserved {
                    return Some(1);
                }
                self.tlbi_open = true;
                if self.atc_open {
                    self.broken
                        .push("TLBI after ATC_INV without CMD_SYNC".into());
                }
            }
            0x40 => {
                if self.tlbi_open {
                    self.broken
                        .push("ATC_INV after TLBI without CMD_SYNC".into());
                }
                self.atc_open = true;
                self.unanswered |= self.dead.contains(&((w0 >> 32) as u32));
            }
            0x46 => return self.sync(w0, w1),
            _ => return Some(1),
        }
        None
    }

    fn sync(&mut self, w0: u64, w1: u64) -> Option<u32> {
        if w0 >> 12 & 3 == 3 {
            return Some(1);
        }
        if self.unanswered {
            // The timed-out ATC_INVs are over; the repeated CMD_SYNC finds none outstanding.
            self.unanswered = false;
            return Some(3);
        }
        self.tlbi_open = false;
        self.atc_open = false;
        if w0 >> 12 & 3 == 1 && w1 != 0 {
            if self.message_aborts {
                self.set_register(GERROR, self.register(GERROR) ^ 1 << 4);
            } else {
                // SAFETY: the driver gave the address of its live message word.
                unsafe { (w1 as *mut u32).write_volatile((w0 >> 32) as u32) };
            }
        }
        None
    }

    fn read(&mut self, offset: usize) -> u32 {
        if let (Pace::AtRead(most), CONS | GERROR) = (self.pace, offset) {
            self.run(most);
        }
        if offset == CONS {
            self.cons_reads += 1;
        }
        self.register(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            CR0 if self.acknowledges => self.set_register(CR0ACK, value),
            IRQ_CTRL => self.set_register(IRQ_CTRL + 4, value),
            PROD => self.check_doorbell(value),
            GERRORN => {
                self.acknowledgements.push(value);
                let active = self.register(GERROR) ^ self.register(GERRORN);
                let toggled = value ^ self.register(GERRORN);
                if toggled & !active != 0 {
                    self.broken
                        .push(format!("GERRORN toggles {toggled:#x} of {active:#x}"));
                }
            }
            _ => {}
        }
        self.set_register(offset, value);
        if self.pace == Pace::AtDoorbell && matches!(offset, PROD | GERRORN) {
            self.run(u32::MAX);
        }
    }

    fn check_doorbell(&mut self, value: u32) {
        if self.register(CR0ACK) & 8 == 0 {
            return;
        }
        self.doorbells += 1;
        if !std::mem::take(&mut self.ordered) {
            self.broken.push("doorbell without a barrier".into());
        }
        let cons = self.register(CONS);
        let outstanding = value.wrapping_sub(cons) & self.mask();
        let before = self.register(PROD).wrapping_sub(cons) & self.mask();
        if outstanding > 1 << self.log2() || outstanding < before {
            self.broken
                .push(format!("PROD goes to {value:#x} with CONS at {cons:#x}"));
        }
    }

    /// The consumed commands since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<[u64; 2]> {
        std::mem::take(&mut self.log)
    }
}

/// The device as the driver and the test hold it.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub(crate) fn new(ids: Ids) -> Self {
        let mut registers = vec![0; 0x2_0000 / 4];
        registers[IDR0 / 4] = ids.idr0;
        registers[1] = ids.idr1;
        registers[3] = ids.idr3;
        registers[5] = ids.idr5;
        registers[6] = ids.iidr;
        Self(Arc::new(Mutex::new(Inner {
            registers,
            mapped: 0x2_0000,
            pace: Pace::AtDoorbell,
            log: Vec::new(),
            doorbells: 0,
            cons_reads: 0,
            dead: HashSet::new(),
            illegal: Vec::new(),
            fetch_aborts: 0,
            message_aborts: false,
            acknowledges: true,
            broken: Vec::new(),
            acknowledgements: Vec::new(),
            cleaned: Vec::new(),
            on_publish: None,
            unanswered: false,
            tlbi_open: false,
            atc_open: false,
            ordered: false,
        })))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn pace(&self, pace: Pace) {
        self.inner().pace = pace;
    }

    pub(crate) fn take_log(&self) -> Vec<[u64; 2]> {
        self.inner().take_log()
    }

    #[track_caller]
    pub(crate) fn assert_rules_kept(&self) {
        assert_eq!(self.inner().broken, Vec::<String>::new());
    }
}

// SAFETY: one access to the register array each, under its lock.
unsafe impl Mmio for Fake {
    fn len(&self) -> usize {
        self.inner().mapped
    }
    fn read32(&self, offset: usize) -> u32 {
        self.inner().read(offset)
    }
    fn write32(&self, offset: usize, value: u32) {
        self.inner().write(offset, value);
    }
    fn read64(&self, offset: usize) -> u64 {
        self.inner().register64(offset)
    }
    fn write64(&self, offset: usize, value: u64) {
        let mut inner = self.inner();
        inner.set_register(offset, value as u32);
        inner.set_register(offset + 4, (value >> 32) as u32);
    }
}

/// Barriers that let the device see a doorbell without one.
pub(crate) struct Barriers(Fake);

impl Barriers {
    pub(crate) fn of(fake: &Fake) -> Self {
        Self(fake.clone())
    }
}

// SAFETY: the device runs in this process, and under locks.
unsafe impl DmaBarriers for Barriers {
    fn publish_tables(&self) {
        let hook = self.0.inner().on_publish.take();
        if let Some(hook) = hook {
            hook();
        }
    }
    fn before_doorbell(&self) {
        self.0.inner().ordered = true;
    }
    fn after_completion(&self) {}
    fn clean_lines(&self, start: *const u8, len: usize) {
        self.0.inner().cleaned.push((start as u64, len as u64));
    }
}

pub(crate) type TestSmmu = Smmu<Fake, Barriers, Lock, 64, 64>;

pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) smmu: &'static TestSmmu,
    pub(crate) lock: Lock,
}

pub(crate) const STREAMS: usize = 64;

pub(crate) fn memory(log2_queue: u32) -> Memory {
    Memory {
        commands: region(16 << log2_queue, (16usize << log2_queue).max(64)),
        streams: region(64 * STREAMS, 64 * STREAMS),
        events: Some(region(32 * 16, 32 * 16)),
        message: Some(region(8, 8)),
    }
}

impl Bench {
    /// An SMMU that is up, with a queue of `1 << log2_queue` entries.
    pub(crate) fn new(ids: Ids, log2_queue: u32, config: Config) -> Self {
        let fake = Fake::new(ids);
        let lock = Lock::default();
        let barriers = Barriers::of(&fake);
        let smmu = Smmu::new(
            fake.clone(),
            barriers,
            lock.clone(),
            memory(log2_queue),
            config,
        );
        let smmu: &'static TestSmmu = Box::leak(Box::new(smmu.unwrap()));
        smmu.init(&mut turns(&lock, 10)).unwrap();
        fake.take_log();
        Self { fake, smmu, lock }
    }

    pub(crate) fn usual() -> Self {
        Self::new(Ids::usual(), 8, Config::new())
    }

    /// Adds a stream with 8 contexts; gives where they are.
    pub(crate) fn add_stream(&self, sid: u32, ats: Option<u8>) -> *const u64 {
        let contexts = region(64 * 8, 64 * 8);
        let at = contexts.virt().as_ptr() as *const u64;
        let setup = StreamSetup {
            stream: StreamId(sid),
            contexts,
            substream_bits: 3,
            ats,
        };
        self.smmu
            .add_stream(setup, &mut turns(&self.lock, 10))
            .unwrap();
        at
    }

    /// Attaches an address space to contexts.
    pub(crate) fn attach(&self, contexts: &[(u32, Option<u32>)]) -> AttachKey {
        let contexts: Vec<_> = contexts
            .iter()
            .map(|&(sid, ssid)| context(sid, ssid))
            .collect();
        let key = self
            .smmu
            .attach(&contexts, &translation(), &mut turns(&self.lock, 10));
        self.fake.take_log();
        key.unwrap()
    }

    pub(crate) fn detach(&self, key: AttachKey) {
        self.smmu.detach(key, &mut turns(&self.lock, 50)).unwrap();
    }
}

pub(crate) fn context(sid: u32, ssid: Option<u32>) -> Context {
    Context {
        stream: StreamId(sid),
        substream: ssid.map(|ssid| SubstreamId::new(ssid).unwrap()),
    }
}

/// 48-bit addresses, 4 KiB pages.
pub(crate) fn translation() -> TranslationConfig {
    TranslationConfig {
        root: PhysAddr::new(0x4_5678_9000),
        t0sz: 16,
        granule: Granule::Kib4,
        ips: 5,
        mair: 0xff44_0c04,
        shareability: Shareability::Inner,
        inner: Cacheability::WriteBack,
        outer: Cacheability::WriteBack,
        updates: TableUpdates::Software,
        asid: AsidSource::Private,
    }
}
