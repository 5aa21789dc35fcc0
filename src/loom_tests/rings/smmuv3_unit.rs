//! An SMMUv3: stream 0 with a device TLB, and a queue of 8 entries.

use super::{ALL, Caches, Fault, Ring, Unit, bit, store, word};
use crate::iommu::smmuv3::command::opcode;
use crate::iommu::smmuv3::registers;

const ENTRIES: u64 = 8;
/// CMDQ_CONS.ERR.
const ILLEGAL: u64 = 1;
const ATC_TIMEOUT: u64 = 3;
/// CONFIG of a stream table entry: stage 1 translates.
const STAGE_1: u64 = 0b101 << 1;
/// A context descriptor: it is valid, and walks are disabled.
const VALID: u64 = 1 << 31;
const EPD0: u64 = 1 << 14;

#[derive(Default)]
pub(super) struct Smmu {
    ring: Ring,
    streams: u64,
    control: [u64; 2],
    producer: u64,
    consumer: u64,
    error: u64,
    raised: u64,
    acknowledged: u64,
    caches: Caches,
    /// What the next CMD_SYNC completes: of its own TLB, of the device's, and whether configuration was invalidated.
    pending: (u64, u64, bool),
    /// The configuration that it has cached.
    entry: u64,
    descriptor: u64,
    fault: Fault,
    laps: u32,
    /// An ATC_INV since the last CMD_SYNC was not answered.
    unanswered: bool,
}

impl Smmu {
    fn is_stopped(&self) -> bool {
        (self.raised ^ self.acknowledged) & 1 != 0
    }

    fn stop(&mut self, error: u64) {
        self.error = error;
        self.raised ^= 1;
    }

    fn execute(&mut self, [w0, w1]: [u64; 2]) {
        let pages = bit(w1 >> 12 & 0x3f);
        match w0 as u8 {
            opcode::CFGI_STE..=opcode::CFGI_VMS_PIDM => self.pending.2 = true,
            opcode::TLBI_NH_VA => self.pending.0 |= pages,
            opcode::TLBI_NH_ASID | opcode::TLBI_NSNH_ALL => self.pending.0 = ALL,
            opcode::ATC_INV => self.invalidate_device(if w1 & 0x3f == 52 { ALL } else { pages }),
            opcode::SYNC => self.sync(w0, w1),
            other => panic!("{other:#x}: an entry that was never written"),
        }
    }

    /// The device asks for what it uses again at once.
    fn invalidate_device(&mut self, pages: u64) {
        if matches!(self.fault, Fault::Silent | Fault::Dead) {
            self.unanswered = true;
        } else {
            self.pending.1 |= pages & !self.caches.own;
        }
    }

    fn sync(&mut self, w0: u64, w1: u64) {
        let (own, device, configuration) = core::mem::take(&mut self.pending);
        self.caches.own &= !own;
        self.caches.device &= !device;
        if configuration {
            self.entry = word(self.streams);
            self.descriptor = if self.is_let_through() {
                word(self.entry & ((1 << 56) - 1) & !0x3f)
            } else {
                0
            };
        }
        // CS: a message.
        if w0 >> 12 & 3 == 1 {
            store(w1 & ((1 << 52) - 4), w0 >> 32);
        }
    }
}

impl Unit for Smmu {
    fn read(&mut self, offset: usize) -> u64 {
        match offset {
            // Stage 1, AArch64 tables, coherent, ATS, messages.
            registers::IDR0 => 1 << 1 | 1 << 3 | 1 << 4 | 1 << 10 | 1 << 13,
            // 8 commands, one stream.
            registers::IDR1 => 3 << 21,
            // Granules of 4 KiB, 48 bits.
            registers::IDR5 => 1 << 4 | 5,
            registers::CR0ACK => self.control[0],
            registers::IRQ_CTRLACK => self.control[1],
            registers::GERROR => {
                self.step();
                self.raised
            }
            registers::GERRORN => self.acknowledged,
            registers::CMDQ_CONS => {
                self.step();
                self.consumer | self.error << registers::CONS_ERR_SHIFT
            }
            _ => 0,
        }
    }

    fn write(&mut self, offset: usize, value: u64) {
        match offset {
            registers::CR0 => self.control[0] = value,
            registers::IRQ_CTRL => self.control[1] = value,
            registers::GERRORN => self.acknowledged = value,
            registers::STRTAB_BASE => self.streams = value & ((1 << 52) - 1) & !0x3f,
            registers::CMDQ_BASE => {
                self.ring = Ring::new(value & ((1 << 52) - 1) & !0x1f, 2, ENTRIES as usize);
            }
            registers::CMDQ_PROD => {
                let published = value.wrapping_sub(self.consumer) % (2 * ENTRIES);
                assert!(published <= ENTRIES, "more entries than there are");
                self.producer = value;
            }
            registers::CMDQ_CONS => self.consumer = value,
            _ => {}
        }
    }

    fn arrive(&mut self) {
        let (consumer, stopped) = (self.consumer, self.is_stopped());
        let published = self.producer.wrapping_sub(consumer) % (2 * ENTRIES);
        self.ring.arrive(|slot| {
            let ahead = (slot as u64).wrapping_sub(consumer) % ENTRIES;
            ahead < published && !stopped
        });
    }

    fn step(&mut self) {
        if self.walks() {
            self.caches.fill(self.caches.mapped);
        }
        if self.is_stopped() || self.consumer == self.producer {
            return;
        }
        let entry = self.ring.entry((self.consumer % ENTRIES) as usize);
        let words = [entry[0], entry[1]];
        let is_tlbi = (0x10..=0x30).contains(&(words[0] as u8));
        if is_tlbi && self.fault == Fault::Refuses {
            self.fault = Fault::None;
            return self.stop(ILLEGAL);
        }
        if words[0] as u8 == opcode::SYNC && core::mem::take(&mut self.unanswered) {
            if self.fault == Fault::Silent {
                self.fault = Fault::None;
            }
            return self.stop(ATC_TIMEOUT);
        }
        self.execute(words);
        self.consumer = (self.consumer + 1) % (2 * ENTRIES);
        self.laps += u32::from(self.consumer.is_multiple_of(ENTRIES));
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
        self.entry & STAGE_1 == STAGE_1
    }

    fn walks(&self) -> bool {
        self.is_let_through() && self.descriptor & (VALID | EPD0) == VALID
    }

    fn laps(&self) -> u32 {
        self.laps
    }
}
