//! An AMD IOMMU: device 1 with a TLB and a host table, and a command buffer of one page.

use super::{ALL, Caches, Fault, Ring, Unit, bit, store, word};
use crate::iommu::amd::command::opcode;
use crate::iommu::amd::registers::{self, Control, Status};

const ENTRIES: usize = 256;
const DEVICE: u64 = 1;
const ADDRESS: u64 = 0xf_ffff_ffff_f000;
/// Of a device table entry: the levels of its table, and in the second word that its TLB is served.
const MODE: u64 = 7 << 9;
const DEVICE_TLB: u64 = 1 << 32;
/// ILLEGAL_COMMAND_ERROR and IOTLB_INV_TIMEOUT.
const ILLEGAL: u64 = 5 << 60;
const TIMEOUT: u64 = 7 << 60;

#[derive(Default)]
pub(super) struct Amd {
    ring: Ring,
    devices: u64,
    log: u64,
    log_tail: usize,
    head: usize,
    tail: usize,
    control: u64,
    halted: bool,
    caches: Caches,
    /// What the next COMPLETION_WAIT completes: of its own TLB, of the device's, and whether a device table entry was invalidated.
    pending: (u64, u64, bool),
    /// The device table entry that it has cached.
    entry: [u64; 2],
    fault: Fault,
    laps: u32,
}

impl Amd {
    fn runs(&self) -> bool {
        self.control & Control::COMMAND_BUFFER.bits() != 0 && !self.halted
    }

    fn record(&mut self, event: u64) {
        store(self.log + 16 * self.log_tail as u64, event);
        self.log_tail += 1;
    }

    fn execute(&mut self, [w0, w1]: [u64; 2]) {
        // S: more than one page.
        let pages = if w1 & 1 == 0 {
            bit(w1 >> 12 & 0x3f)
        } else {
            ALL
        };
        match (w0 >> 60) as u8 {
            opcode::COMPLETION_WAIT => self.complete(w0, w1),
            opcode::INVALIDATE_DEVTAB_ENTRY => self.pending.2 = true,
            opcode::INVALIDATE_IOMMU_PAGES => self.pending.0 |= pages,
            opcode::INVALIDATE_IOTLB_PAGES => self.invalidate_device(pages),
            opcode::INVALIDATE_IOMMU_ALL => self.pending = (ALL, self.pending.1, true),
            other => panic!("{other}: an entry that was never written"),
        }
    }

    /// The device asks for what it uses again at once. Its silence is recorded, and its command completes.
    fn invalidate_device(&mut self, pages: u64) {
        match self.fault {
            Fault::None | Fault::Refuses | Fault::Reset => {
                self.pending.1 |= pages & !self.caches.own
            }
            Fault::Silent => {
                self.fault = Fault::None;
                self.record(TIMEOUT | DEVICE);
            }
            Fault::Dead => self.record(TIMEOUT | DEVICE),
        }
    }

    fn complete(&mut self, w0: u64, w1: u64) {
        let (own, device, configuration) = core::mem::take(&mut self.pending);
        self.caches.own &= !own;
        self.caches.device &= !device;
        if configuration {
            let at = self.devices + 32 * DEVICE;
            self.entry = [word(at), word(at + 8)];
        }
        if w0 & 1 != 0 {
            store(w0 & (ADDRESS | 0xff8), w1);
        }
    }
}

impl Unit for Amd {
    fn read(&mut self, offset: usize) -> u64 {
        match offset {
            // IASup.
            registers::EXTENDED_FEATURES => 1 << 6,
            registers::COMMAND_HEAD => (self.head << registers::ENTRY_SHIFT) as u64,
            registers::EVENT_TAIL => (self.log_tail << registers::ENTRY_SHIFT) as u64,
            registers::STATUS => {
                self.step();
                self.step();
                let mut status = Status::empty();
                status.set(Status::COMMAND_RUN, self.runs());
                let log = self.control & Control::EVENT_LOG.bits() != 0;
                status.set(Status::EVENT_RUN, log);
                status.bits()
            }
            _ => 0,
        }
    }

    fn write(&mut self, offset: usize, value: u64) {
        match offset {
            registers::DEVICE_TABLE_BASE => self.devices = value & ADDRESS,
            registers::COMMAND_BASE => self.ring = Ring::new(value & ADDRESS, 2, ENTRIES),
            registers::EVENT_BASE => self.log = value & ADDRESS,
            registers::CONTROL => {
                self.control = value;
                self.halted &= value & Control::COMMAND_BUFFER.bits() != 0;
            }
            registers::COMMAND_HEAD => self.head = value as usize >> registers::ENTRY_SHIFT,
            registers::COMMAND_TAIL => self.tail = value as usize >> registers::ENTRY_SHIFT,
            _ => {}
        }
    }

    fn arrive(&mut self) {
        let (head, tail, runs) = (self.head, self.tail, self.runs());
        self.ring.arrive(|slot| {
            let ahead = slot.wrapping_sub(head) % ENTRIES;
            ahead < tail.wrapping_sub(head) % ENTRIES && runs
        });
    }

    fn step(&mut self) {
        if self.walks() {
            self.caches.fill(self.caches.mapped);
        }
        if !self.runs() || self.head == self.tail {
            return;
        }
        let entry = self.ring.entry(self.head);
        let words = [entry[0], entry[1]];
        let is_own = (words[0] >> 60) as u8 == opcode::INVALIDATE_IOMMU_PAGES;
        if is_own && self.fault == Fault::Refuses {
            self.fault = Fault::None;
            self.halted = true;
            // What was fetched before need not have been executed.
            self.pending = (0, 0, self.pending.2);
            return self.record(ILLEGAL);
        }
        self.execute(words);
        self.head = (self.head + 1) % ENTRIES;
        self.laps += u32::from(self.head == 0);
    }

    fn caches(&mut self) -> &mut Caches {
        &mut self.caches
    }

    fn arm(&mut self, fault: Fault) {
        self.fault = fault;
    }

    fn fault(&self) -> Fault {
        self.fault
    }

    fn is_let_through(&self) -> bool {
        self.entry[1] & DEVICE_TLB != 0
    }

    fn walks(&self) -> bool {
        self.entry[0] & MODE != 0
    }

    fn laps(&self) -> u32 {
        self.laps
    }
}
