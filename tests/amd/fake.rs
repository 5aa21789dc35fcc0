//! A scripted AMD IOMMU: registers, a command buffer that runs when the script says so, and the rules that a driver may break.
//!
//! It imports no layout from the library. Sources of its constants: AMD 48882 chapters 2.4, 2.5 and 3.4; QEMU `amd_iommu.h`.

pub(crate) use crate::regions::{region, region_off_by};
pub(crate) use crate::ring_lock::{Lock, turns};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Pasid, Translation, gcr3_len,
};
use tlb_shootdown::secondary::AttachKey;

/// When commands are executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Inside the doorbell write, as QEMU does.
    AtDoorbell,
    /// So many at each read of the status register.
    AtRead(u32),
    /// Never.
    Stalled,
}

/// IotlbSup, EFRSup.
pub(crate) const CAPABILITY: u32 = 1 << 24 | 1 << 27;
/// PPR, GT, IA, 4-level host and guest tables, GCR3 tables of 3 levels, 20-bit PASIDs, GIoV, SNP.
pub(crate) const FEATURES: u64 = 1 << 1 | 1 << 4 | 1 << 6 | 2 << 14 | 19 << 32 | 1 << 48 | 1 << 63;
pub(crate) const WITHOUT_ALL: u64 = FEATURES & !(1 << 6);

pub(crate) const DEVICE_TABLE: usize = 0x00;
pub(crate) const COMMAND_BASE: usize = 0x08;
pub(crate) const EVENT_BASE: usize = 0x10;
pub(crate) const CONTROL: usize = 0x18;
const EXCLUSION_BASE: usize = 0x20;
const EXCLUSION_LIMIT: usize = 0x28;
const COMMAND_HEAD: usize = 0x2000;
pub(crate) const COMMAND_TAIL: usize = 0x2008;
pub(crate) const EVENT_HEAD: usize = 0x2010;
pub(crate) const EVENT_TAIL: usize = 0x2018;
pub(crate) const STATUS: usize = 0x2020;

const OVERFLOW: u32 = 1 << 0;
const EVENT_RUN: u32 = 1 << 3;
const COMMAND_RUN: u32 = 1 << 4;

pub(crate) struct Inner {
    registers: Vec<u32>,
    /// How many bytes of them are mapped.
    pub(crate) mapped: usize,
    pub(crate) pace: Pace,
    /// Every command executed, in order.
    pub(crate) log: Vec<[u64; 2]>,
    pub(crate) doorbells: usize,
    pub(crate) head_reads: usize,
    /// Devices that answer no invalidation.
    pub(crate) dead: HashSet<u16>,
    /// Opcodes that are refused, each that many times.
    pub(crate) illegal: Vec<(u8, u32)>,
    /// Fetches that fail.
    pub(crate) fetch_errors: u32,
    /// A halt is recorded in the event log.
    pub(crate) records_halts: bool,
    /// Status reads that pass until a change of the control register takes effect.
    pub(crate) inertia: u32,
    /// Reads of the event log's tail that pass before a record is written behind a tail that has moved (erratum 732).
    pub(crate) late_records: u32,
    /// The log is full for every record.
    pub(crate) overflows: bool,
    /// The head shows the end of the buffer instead of its start, as QEMU's does.
    pub(crate) unwrapped_head: bool,
    /// An INVALIDATE_IOTLB_PAGES is handed over only when every INVALIDATE_IOMMU_PAGES of the same addresses before it is complete.
    pub(crate) strict: bool,
    /// Rules that were broken.
    pub(crate) broken: Vec<String>,
    /// Called once at the next `publish_tables`.
    pub(crate) on_publish: Option<Box<dyn FnOnce() + Send>>,
    unwritten: Option<(u64, [u64; 2])>,
    halted: bool,
    pending_run: Option<(u32, u32)>,
    /// The PASID and the addresses of what is executed and not known to be complete.
    pages_open: Vec<(u64, u64)>,
    ordered: bool,
}

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

    fn buffer(&self, base: usize) -> (u64, u32) {
        let base = self.register64(base);
        (base & 0xf_ffff_ffff_f000, 16 << (base >> 56 & 0xf))
    }

    fn running(&self) -> bool {
        self.register(STATUS) & COMMAND_RUN != 0
    }

    /// The address of the entry at a byte offset, and the entry.
    fn entry(&self, offset: u32) -> (u64, [u64; 2]) {
        let (base, bytes) = self.buffer(COMMAND_BASE);
        let at = base + u64::from(offset % bytes);
        (at, load(at))
    }

    /// Executes up to `most` commands.
    pub(crate) fn run(&mut self, most: u32) {
        let (_, bytes) = self.buffer(COMMAND_BASE);
        for _ in 0..most {
            let head = self.register(COMMAND_HEAD) % bytes;
            if !self.running() || head == self.register(COMMAND_TAIL) % bytes {
                return;
            }
            let (at, command) = self.entry(head);
            if self.fetch_errors > 0 {
                self.fetch_errors -= 1;
                return self.halt(6, at);
            }
            if !self.execute(command) {
                return self.halt(5, at);
            }
            self.log.push(command);
            let next = head + 16;
            let shown = if self.unwrapped_head {
                next
            } else {
                next % bytes
            };
            self.set_register(COMMAND_HEAD, shown);
        }
    }

    fn halt(&mut self, kind: u64, at: u64) {
        self.halted = true;
        self.set_register(STATUS, self.register(STATUS) & !COMMAND_RUN);
        if self.records_halts {
            self.record([kind << 60, at]);
        }
    }

    /// Writes a record into the event log.
    pub(crate) fn record(&mut self, words: [u64; 2]) {
        let status = self.register(STATUS);
        if status & EVENT_RUN == 0 {
            return;
        }
        let (base, bytes) = self.buffer(EVENT_BASE);
        let tail = self.register(EVENT_TAIL);
        let next = (tail + 16) % bytes;
        if self.overflows || next == self.register(EVENT_HEAD) {
            self.set_register(STATUS, status & !EVENT_RUN | OVERFLOW);
            return;
        }
        let at = base + u64::from(tail);
        if load(at)[0] != 0 {
            self.broken.push("a taken record was left in place".into());
        }
        self.set_register(EVENT_TAIL, next);
        if self.late_records > 0 {
            self.unwritten = Some((at, words));
        } else {
            store(at, words);
        }
    }

    fn write_late_record(&mut self) {
        if let Some((at, words)) = self.unwritten {
            self.late_records = self.late_records.saturating_sub(1);
            if self.late_records == 0 {
                self.unwritten = None;
                store(at, words);
            }
        }
    }

    /// Whether a command is one that the IOMMU takes.
    fn execute(&mut self, [w0, w1]: [u64; 2]) -> bool {
        let opcode = (w0 >> 60) as u8;
        for (illegal, times) in &mut self.illegal {
            if *illegal == opcode && *times > 0 {
                *times -= 1;
                return false;
            }
        }
        let reserved = match opcode {
            1 => w0 & 0x0ff0_0000_0000_0000,
            2 => w0 & 0x0fff_ffff_ffff_0000 | w1,
            3 => w0 & 0x0fff_0000_fff0_0000 | w1 & 0xff8,
            4 => w1 & 0xffa,
            8 => w0 & 0x0fff_ffff_ffff_ffff | w1,
            _ => 1,
        };
        if reserved != 0 {
            self.broken
                .push(format!("reserved bits in {w0:#018x} {w1:#018x}"));
            return false;
        }
        match opcode {
            1 => self.wait(w0, w1),
            3 => self.pages_open.push(pages_key(w0, w1)),
            4 if self.dead.contains(&(w0 as u16)) => {
                let (at, _) = self.entry(self.register(COMMAND_HEAD));
                self.record([7 << 60 | w0 & 0xffff, at]);
            }
            _ => {}
        }
        true
    }

    fn wait(&mut self, w0: u64, w1: u64) {
        self.pages_open.clear();
        let place = w0 & 0xf_ffff_ffff_fff8;
        let limit = self.register64(EXCLUSION_LIMIT) & !0xfff;
        let first = self.register64(EXCLUSION_BASE) & !0xfff;
        if first != 0 && !(first..limit + 0x1000).contains(&place) {
            return;
        }
        if w0 & 1 != 0 {
            // SAFETY: the driver gave the address of its live completion word.
            unsafe { (place as *mut u64).write_volatile(w1) };
        }
    }

    fn read(&mut self, offset: usize) -> u32 {
        match offset {
            STATUS => {
                self.take_effect();
                if let Pace::AtRead(most) = self.pace {
                    self.run(most);
                }
            }
            EVENT_TAIL => self.write_late_record(),
            COMMAND_HEAD => self.head_reads += 1,
            _ => {}
        }
        self.register(offset)
    }

    fn take_effect(&mut self) {
        if let Some((left, run)) = self.pending_run {
            if left == 0 {
                let kept = self.register(STATUS) & !(COMMAND_RUN | EVENT_RUN);
                self.set_register(STATUS, kept | run);
                self.pending_run = None;
                if self.pace == Pace::AtDoorbell {
                    self.run(u32::MAX);
                }
            } else {
                self.pending_run = Some((left - 1, run));
            }
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            STATUS => {
                let cleared = value & 0x67;
                self.set_register(STATUS, self.register(STATUS) & !cleared);
                return;
            }
            COMMAND_TAIL if self.running() => self.check_doorbell(value),
            COMMAND_HEAD if self.running() => {
                self.broken.push("the head is written while running".into());
            }
            _ => {}
        }
        self.set_register(offset, value);
        if self.pace == Pace::AtDoorbell && offset == COMMAND_TAIL {
            self.run(u32::MAX);
        }
    }

    fn write_control(&mut self, value: u64) {
        let before = self.register64(CONTROL);
        self.registers[CONTROL / 4] = value as u32;
        self.registers[CONTROL / 4 + 1] = (value >> 32) as u32;
        let commands = 1 << 12 | 1;
        if value & commands == commands && before & commands != commands {
            self.halted = false;
        }
        let mut run = 0;
        if value & commands == commands && !self.halted {
            run |= COMMAND_RUN;
        }
        let overflowed = self.register(STATUS) & OVERFLOW != 0;
        if value & 5 == 5 && !overflowed {
            run |= EVENT_RUN;
        }
        self.pending_run = Some((self.inertia, run));
        if self.inertia == 0 {
            self.take_effect();
        }
    }

    fn check_doorbell(&mut self, value: u32) {
        self.doorbells += 1;
        if !std::mem::take(&mut self.ordered) {
            self.broken.push("doorbell without a barrier".into());
        }
        let (_, bytes) = self.buffer(COMMAND_BASE);
        let head = self.register(COMMAND_HEAD) % bytes;
        let before = self.register(COMMAND_TAIL);
        let outstanding = (value + bytes - head) % bytes;
        if !value.is_multiple_of(16)
            || value >= bytes
            || outstanding < (before + bytes - head) % bytes
        {
            self.broken.push(format!(
                "the tail goes to {value:#x} with the head at {head:#x}"
            ));
        }
        self.check_stages(head, before, value, bytes);
    }

    /// A device TLB is invalidated only when its IOMMU's TLB has been.
    fn check_stages(&mut self, head: u32, before: u32, tail: u32, bytes: u32) {
        let mut open = self.pages_open.clone();
        let mut at = head;
        let mut fresh = head == before;
        while at != tail {
            fresh |= at == before;
            let [w0, w1] = self.entry(at).1;
            match w0 >> 60 {
                3 => open.push(pages_key(w0, w1)),
                4 if fresh && self.strict && open.contains(&device_key(w0, w1)) => {
                    self.broken.push(
                        "INVALIDATE_IOTLB_PAGES before INVALIDATE_IOMMU_PAGES is complete".into(),
                    );
                }
                _ => {}
            }
            at = (at + 16) % bytes;
        }
    }

    /// The executed commands since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<[u64; 2]> {
        std::mem::take(&mut self.log)
    }
}

/// The PASID and the addresses of an INVALIDATE_IOMMU_PAGES.
fn pages_key(w0: u64, w1: u64) -> (u64, u64) {
    (w0 & 0xf_ffff, w1 & !0xffe)
}

/// The PASID and the addresses of an INVALIDATE_IOTLB_PAGES.
fn device_key(w0: u64, w1: u64) -> (u64, u64) {
    let pasid = w0 >> 16 & 0xff;
    let pasid = pasid << 8 | w0 >> 48 & 0xff | (w0 >> 56 & 0xf) << 16;
    (pasid, w1 & !0xffe)
}

fn load(at: u64) -> [u64; 2] {
    [0, 8].map(|offset| {
        // SAFETY: the driver gave the base of a live buffer; an entry within it stays within it.
        unsafe { ((at + offset) as *const u64).read_volatile() }
    })
}

fn store(at: u64, words: [u64; 2]) {
    for (offset, word) in [0, 8].into_iter().zip(words) {
        // SAFETY: as in `load`.
        unsafe { ((at + offset) as *mut u64).write_volatile(word) };
    }
}

/// The device as the driver and the test hold it.
#[derive(Clone)]
pub(crate) struct Fake(Arc<Mutex<Inner>>);

impl Fake {
    pub(crate) fn new(features: u64) -> Self {
        let mut registers = vec![0; 0x4000 / 4];
        registers[0x30 / 4] = features as u32;
        registers[0x34 / 4] = (features >> 32) as u32;
        Self(Arc::new(Mutex::new(Inner {
            registers,
            pace: Pace::AtDoorbell,
            log: Vec::new(),
            doorbells: 0,
            head_reads: 0,
            dead: HashSet::new(),
            illegal: Vec::new(),
            fetch_errors: 0,
            records_halts: true,
            inertia: 0,
            late_records: 0,
            overflows: false,
            mapped: 0x4000,
            unwrapped_head: false,
            strict: true,
            broken: Vec::new(),
            on_publish: None,
            unwritten: None,
            halted: false,
            pending_run: None,
            pages_open: Vec::new(),
            ordered: false,
        })))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn pace(&self, pace: Pace) {
        self.inner().pace = pace;
    }

    pub(crate) fn run(&self, most: u32) {
        self.inner().run(most);
    }

    pub(crate) fn take_log(&self) -> Vec<[u64; 2]> {
        self.inner().take_log()
    }

    /// As [`Self::take_log`], without COMPLETION_WAITs.
    pub(crate) fn take_invalidations(&self) -> Vec<[u64; 2]> {
        let mut log = self.take_log();
        log.retain(|words| words[0] >> 60 != 1);
        log
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
        if offset == CONTROL {
            return inner.write_control(value);
        }
        if inner.running() {
            inner
                .broken
                .push(format!("register {offset:#x} is written while running"));
        }
        inner.set_register(offset, value as u32);
        inner.set_register(offset + 4, (value >> 32) as u32);
        if offset == COMMAND_BASE {
            inner.set_register(COMMAND_HEAD, 0);
            inner.set_register(COMMAND_TAIL, 0);
        }
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
    fn clean_lines(&self, _: *const u8, _: usize) {}
}

pub(crate) type SizedIommu<const SLOTS: usize> = Iommu<Fake, Barriers, Lock, SLOTS, 128>;
pub(crate) type TestIommu = SizedIommu<64>;

pub(crate) struct Bench<const SLOTS: usize = 64> {
    pub(crate) fake: Fake,
    pub(crate) iommu: &'static SizedIommu<SLOTS>,
    pub(crate) lock: Lock,
    table: usize,
}

/// The smallest buffers, and a device table of one page.
pub(crate) fn memory() -> Memory {
    Memory {
        commands: region(4096, 4096),
        devices: region(4096, 4096),
        events: Some(region(4096, 4096)),
        completion: region(4096, 4096),
    }
}

impl Bench {
    pub(crate) fn new(features: u64, config: Config, memory: Memory) -> Self {
        Self::sized(features, config, memory)
    }

    pub(crate) fn usual() -> Self {
        Self::new(FEATURES, Config::new(CAPABILITY), memory())
    }
}

impl<const SLOTS: usize> Bench<SLOTS> {
    /// An IOMMU that is up, with so many places.
    pub(crate) fn sized(features: u64, config: Config, memory: Memory) -> Self {
        let fake = Fake::new(features);
        let lock = Lock::default();
        let barriers = Barriers::of(&fake);
        let table = memory.devices.virt().as_ptr() as usize;
        let iommu = Iommu::new(fake.clone(), barriers, lock.clone(), memory, config);
        let iommu: &'static SizedIommu<SLOTS> = Box::leak(Box::new(iommu.unwrap()));
        iommu.init(&mut turns(&lock, 5000)).unwrap();
        fake.take_log();
        Self {
            fake,
            iommu,
            lock,
            table,
        }
    }

    /// Adds a device with 9-bit PASIDs; gives where its GCR3 table is.
    pub(crate) fn add_device(&self, id: u16, ats: Option<u8>) -> *const u64 {
        let gcr3 = region(gcr3_len(9), 4096);
        let at = gcr3.virt().as_ptr() as *const u64;
        let kind = DeviceKind::Pasid {
            gcr3,
            pasid_bits: 9,
            refuse_untagged: false,
        };
        self.add(id, kind, ats);
        at
    }

    /// Adds a device that is translated by a host table.
    pub(crate) fn add_host_device(&self, id: u16, ats: Option<u8>) {
        self.add(id, DeviceKind::Host, ats);
    }

    fn add(&self, id: u16, kind: DeviceKind, ats: Option<u8>) {
        let setup = DeviceSetup {
            device: DeviceId(id),
            kind,
            ats,
        };
        self.iommu
            .add_device(setup, &mut turns(&self.lock, 100))
            .unwrap();
        self.fake.take_log();
    }

    /// Attaches a process to contexts.
    pub(crate) fn attach(&self, contexts: &[(u16, u32)]) -> AttachKey {
        let contexts: Vec<_> = contexts
            .iter()
            .map(|&(id, pasid)| context(id, Some(pasid)))
            .collect();
        let wait = &mut turns(&self.lock, 100);
        let key = self.iommu.attach(&contexts, &process(), wait);
        self.fake.take_log();
        key.unwrap()
    }

    /// Attaches a host table to devices.
    pub(crate) fn attach_host(&self, devices: &[u16]) -> AttachKey {
        let contexts: Vec<_> = devices.iter().map(|&id| context(id, None)).collect();
        let wait = &mut turns(&self.lock, 100);
        let key = self.iommu.attach(&contexts, &host(), wait);
        self.fake.take_log();
        key.unwrap()
    }

    pub(crate) fn detach(&self, key: AttachKey) {
        self.iommu.detach(key, &mut turns(&self.lock, 500)).unwrap();
    }

    /// Where the device table is.
    pub(crate) fn table_of(&self) -> usize {
        self.table
    }

    /// The device table entry of a device.
    pub(crate) fn entry(&self, id: u16) -> [u64; 4] {
        words(self.table as *const u64, 4 * usize::from(id))
    }
}

/// Words of a table from an index on.
pub(crate) fn words<const N: usize>(table: *const u64, index: usize) -> [u64; N] {
    std::array::from_fn(|n| {
        let at = table.wrapping_add(index + n);
        // SAFETY: the tests name words within tables that they made.
        unsafe { at.read_volatile() }
    })
}

pub(crate) fn context(id: u16, pasid: Option<u32>) -> Context {
    Context {
        device: DeviceId(id),
        pasid: pasid.map(|pasid| Pasid::new(pasid).unwrap()),
    }
}

/// A device without a TLB that is translated by a host table.
pub(crate) fn host_device(id: u16) -> DeviceSetup {
    DeviceSetup {
        device: DeviceId(id),
        kind: DeviceKind::Host,
        ats: None,
    }
}

/// A process's table.
pub(crate) fn process() -> Translation {
    Translation::Process {
        root: PhysAddr::new(0x4_5678_9000),
    }
}

/// A host table of three levels.
pub(crate) fn host() -> Translation {
    Translation::Host {
        root: PhysAddr::new(0x1_2345_6000),
        levels: 3,
    }
}
