//! A VT-d unit in scalable mode: function 0 of bus 0 with a device TLB, and a queue of one page.

use super::{ALL, Caches, Fault, Ring, Unit, bit, store, word};
use crate::iommu::vtd::command::kind;
use crate::iommu::vtd::registers::{self, Faults, Global};

const ENTRIES: usize = 128;
const PRESENT: u64 = 1;
const ADDRESS: u64 = !0xfff;
/// IQERCD.IQEI: the descriptor cannot be executed.
const REFUSED: u64 = 4;

#[derive(Default)]
pub(super) struct Vtd {
    ring: Ring,
    root: u64,
    global: u64,
    head: usize,
    tail: usize,
    faults: u64,
    caches: Caches,
    /// What the next wait completes: of its own TLB, of the device's, and whether configuration was invalidated.
    pending: (u64, u64, bool),
    /// The configuration that it has cached.
    context: u64,
    pasid: u64,
    fault: Fault,
    unanswered: bool,
    laps: u32,
}

impl Vtd {
    fn is_stopped(&self) -> bool {
        self.faults & u64::from((Faults::QUEUE | Faults::TIME_OUT).bits()) != 0
    }

    fn raise(&mut self, fault: Faults) {
        self.faults |= u64::from(fault.bits());
    }

    fn execute(&mut self, words: [u64; 2]) {
        let [w0, w1] = words;
        let pages = bit(w1 >> 12 & 0x3f);
        match (w0 & 0xf) as u8 {
            kind::CONTEXT_CACHE | kind::PASID_CACHE => self.pending.2 = true,
            // G: pages or more.
            kind::IOTLB | kind::PASID_IOTLB => {
                self.pending.0 |= if w0 >> 4 & 3 == 3 { pages } else { ALL };
            }
            // S: more than one page.
            kind::DEVICE_TLB if matches!(self.fault, Fault::Silent | Fault::Dead) => {
                self.unanswered = true;
            }
            kind::DEVICE_TLB => self.pending.1 |= if w1 & 1 == 0 { pages } else { ALL },
            kind::WAIT => self.wait(w0, w1),
            other => panic!("{other}: an entry that was never written"),
        }
    }

    /// The device's TLB after its own, without a word.
    fn wait(&mut self, w0: u64, w1: u64) {
        let (own, device, configuration) = core::mem::take(&mut self.pending);
        self.caches.own &= !own;
        self.caches.device &= !(device & !self.caches.own);
        if configuration {
            self.read_configuration();
        }
        store(w1, w0 >> 32);
    }

    fn read_configuration(&mut self) {
        (self.context, self.pasid) = (0, 0);
        let root = word(self.root);
        if root & PRESENT != 0 {
            self.context = word(root & ADDRESS);
        }
        if self.context & PRESENT != 0 {
            self.pasid = word(word(self.context & ADDRESS) & ADDRESS);
        }
    }

    /// Every wait that was fetched is aborted, and what it would have completed is not known.
    fn time_out(&mut self) {
        if self.fault == Fault::Silent {
            self.fault = Fault::None;
        }
        self.pending = (0, 0, self.pending.2);
        self.unanswered = false;
        while self.head != self.tail {
            self.advance();
        }
        self.raise(Faults::TIME_OUT);
    }

    fn advance(&mut self) {
        self.head = (self.head + 1) % ENTRIES;
        self.laps += u32::from(self.head == 0);
    }
}

impl Unit for Vtd {
    fn read(&mut self, offset: usize) -> u64 {
        match offset {
            // Domains of 16 bits, page-selective up to 2^18 pages.
            registers::CAP => 6 | 1 << 39 | 18 << 48,
            // Coherent, queue, device TLBs, PASIDs, scalable mode, first stage.
            registers::ECAP => 0b111 | 1 << 40 | 1 << 43 | 1 << 47,
            registers::GSTS => self.global,
            registers::FSTS => {
                self.step();
                self.step();
                self.faults
            }
            registers::IQH => (self.head << registers::WIDE_SHIFT) as u64,
            registers::IQT => (self.tail << registers::WIDE_SHIFT) as u64,
            registers::IQER => REFUSED,
            _ => 0,
        }
    }

    fn write(&mut self, offset: usize, value: u64) {
        match offset {
            registers::GCMD => self.global = value | u64::from(Global::SET_ROOT_TABLE.bits()),
            registers::RTADDR => self.root = value & ADDRESS,
            registers::FSTS => self.faults &= !value,
            registers::IQA => self.ring = Ring::new(value & ADDRESS, 4, ENTRIES),
            registers::IQT => self.tail = value as usize >> registers::WIDE_SHIFT,
            _ => {}
        }
    }

    fn arrive(&mut self) {
        let (head, tail, stopped) = (self.head, self.tail, self.is_stopped());
        self.ring.arrive(|slot| {
            let ahead = slot.wrapping_sub(head) % ENTRIES;
            ahead < tail.wrapping_sub(head) % ENTRIES && !stopped
        });
    }

    fn step(&mut self) {
        // What is not present is not cached (CAP.CM = 0).
        if !self.walks() {
            self.read_configuration();
        }
        if self.walks() {
            self.caches.fill(self.caches.mapped);
        }
        if self.is_stopped() || self.head == self.tail {
            return;
        }
        let entry = self.ring.entry(self.head);
        let words = [entry[0], entry[1]];
        let kind = (words[0] & 0xf) as u8;
        if kind == kind::PASID_IOTLB && self.fault == Fault::Refuses {
            self.fault = Fault::None;
            return self.raise(Faults::QUEUE);
        }
        if kind == kind::WAIT && self.unanswered {
            return self.time_out();
        }
        self.execute(words);
        self.advance();
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
        self.context & PRESENT != 0
    }

    fn walks(&self) -> bool {
        self.is_let_through() && self.pasid & PRESENT != 0
    }

    fn laps(&self) -> u32 {
        self.laps
    }
}
