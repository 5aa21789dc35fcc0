//! The registers (chapter 11.4): offsets, which bits stick, and what a read returns.

use super::command::Illegal;
use super::options::VtdOptions;

/// Offsets (11.4).
pub(super) mod offset {
    pub(crate) const VER: usize = 0x00;
    pub(crate) const CAP: usize = 0x08;
    pub(crate) const ECAP: usize = 0x10;
    pub(crate) const GCMD: usize = 0x18;
    pub(crate) const GSTS: usize = 0x1c;
    pub(crate) const RTADDR: usize = 0x20;
    pub(crate) const FSTS: usize = 0x34;
    pub(crate) const IQH: usize = 0x80;
    pub(crate) const IQT: usize = 0x88;
    pub(crate) const IQA: usize = 0x90;
    pub(crate) const ICS: usize = 0x9c;
    pub(crate) const IQER: usize = 0xb0;
    /// The fault recording registers, where CAP.FRO puts them.
    pub(crate) const FRCD: usize = 0x400;
}

/// GCMD and GSTS (11.4.4).
const TE: u32 = 1 << 31;
const SRTP: u32 = 1 << 30;
const WBF: u32 = 1 << 27;
const QIE: u32 = 1 << 26;

/// FSTS (11.4.7.1).
const PFO: u32 = 1 << 0;
const PPF: u32 = 1 << 1;
const IQE: u32 = 1 << 4;
const ICE: u32 = 1 << 5;
const ITE: u32 = 1 << 6;
const CLEARABLE: u32 = PFO | IQE | ICE | ITE;

/// IQA.DW: entries of 256 bits.
const WIDE: u64 = 1 << 11;
/// Bits of IQH and IQT.
const POSITION: u32 = 0x7_fff0;
/// RTADDR.TTM, bits 11:10, and its value for scalable mode.
const TTM: u64 = 0b11 << 10;
const SCALABLE: u64 = 0b01 << 10;
/// F, bit 127 of a fault record: it is in use, until written to clear.
const RECORDED: u64 = 1 << 63;
const RECORDS: usize = 4;

/// The register file.
#[derive(Debug, Default)]
pub(super) struct Registers {
    cap: u64,
    ecap: u64,
    /// GCMD as last written: write-only.
    wanted: u32,
    gsts: u32,
    rtaddr: u64,
    /// The root that SRTP took over.
    root: u64,
    fsts: u32,
    iqer: u64,
    iqa: u64,
    pub(super) tail: u32,
    pub(super) head: u32,
    /// IQH as software is shown it.
    shown_head: u32,
    pub(super) ics: u32,
    records: [[u64; 2]; RECORDS],
}

/// What a write asks for beyond the register itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Nothing,
    /// The tail moved; entries that were not fetched may have been overwritten.
    Doorbell {
        overrun: bool,
    },
    /// A register that has to stand still while the queue is running.
    Forbidden,
    /// FSTS.IQE was cleared.
    Cleared,
}

impl Registers {
    pub(super) fn new(options: &VtdOptions) -> Self {
        Self {
            cap: capabilities(options),
            ecap: extended(options),
            ..Self::default()
        }
    }

    /// Commands take effect a step after they were written. True where the write buffer is to be flushed. The queue is not left
    /// before it is `idle`.
    pub(super) fn acknowledge(&mut self, idle: bool) -> bool {
        if self.wanted & SRTP != 0 {
            self.root = self.rtaddr;
            self.gsts |= SRTP;
        }
        let flush = self.wanted & WBF != 0;
        self.wanted &= !(SRTP | WBF);
        self.gsts = self.gsts & !TE | self.wanted & TE;
        match (self.wanted & QIE != 0, self.queue_enabled()) {
            (true, false) => {
                (self.head, self.shown_head) = (0, 0);
                self.gsts |= QIE;
            }
            (false, true) if idle => self.gsts &= !QIE,
            _ => {}
        }
        flush
    }

    pub(super) fn translating(&self) -> bool {
        self.gsts & TE != 0
    }

    pub(super) fn queue_enabled(&self) -> bool {
        self.gsts & QIE != 0
    }

    /// The root table, in scalable mode alone.
    pub(super) fn root(&self) -> Option<u64> {
        (self.root & TTM == SCALABLE).then_some(self.root & !0xfff)
    }

    /// An error keeps the queue from fetching.
    pub(super) fn stopped(&self) -> bool {
        self.fsts & (IQE | ITE) != 0
    }

    /// IQE: the head stays at the descriptor that is to blame.
    pub(super) fn stop(&mut self, reason: Illegal) {
        self.fsts |= IQE;
        self.iqer = self.iqer & !0xf | reason as u64;
        self.show_head();
    }

    /// ITE: a device did not answer.
    pub(super) fn device_timed_out(&mut self, sid: u16) {
        self.fsts |= ITE;
        self.iqer = self.iqer & !(0xffff << 32) | u64::from(sid) << 32;
        self.show_head();
    }

    /// ICE: a completion that nobody waited for.
    pub(super) fn completion_error(&mut self, sid: u16) {
        self.fsts |= ICE;
        self.iqer = self.iqer & !(0xffff << 48) | u64::from(sid) << 48;
    }

    /// Writes a fault record into a free register, or says that one was lost.
    pub(super) fn record(&mut self, low: u64, high: u64) {
        match self
            .records
            .iter_mut()
            .find(|[_, high]| high & RECORDED == 0)
        {
            Some(record) => *record = [low, high | RECORDED],
            None => self.fsts |= PFO,
        }
    }

    pub(super) fn show_head(&mut self) {
        self.shown_head = self.head;
    }

    /// Bytes of one entry.
    pub(super) fn entry_bytes(&self) -> u32 {
        if self.wide() { 32 } else { 16 }
    }

    pub(super) fn wide(&self) -> bool {
        self.iqa & WIDE != 0
    }

    /// Bytes of the whole queue: 2^QS pages.
    pub(super) fn queue_bytes(&self) -> u32 {
        0x1000 << (self.iqa & 0b111)
    }

    pub(super) fn queue_address(&self) -> u64 {
        self.iqa & !0xfff
    }

    /// How many descriptors are between head and tail; none while the queue is off or its tail makes no sense.
    pub(super) fn queued(&self) -> u32 {
        if !self.queue_enabled() || self.check_tail().is_err() {
            return 0;
        }
        let bytes = self.queue_bytes();
        (self.tail + bytes - self.head) % bytes / self.entry_bytes()
    }

    /// Whether the tail lies at an entry of the queue.
    pub(super) fn check_tail(&self) -> Result<(), Illegal> {
        if self.tail >= self.queue_bytes() {
            Err(Illegal::Tail)
        } else if !self.tail.is_multiple_of(self.entry_bytes()) {
            Err(Illegal::TailAlignment)
        } else {
            Ok(())
        }
    }

    pub(super) fn read32(&self, at: usize) -> u32 {
        match at {
            // Version 6.0.
            offset::VER => 0x60,
            offset::GSTS => self.gsts,
            offset::FSTS => self.fault_status(),
            offset::ICS => self.ics,
            _ => (self.whole(at & !7) >> ((at & 4) * 8)) as u32,
        }
    }

    fn whole(&self, at: usize) -> u64 {
        match at {
            offset::CAP => self.cap,
            offset::ECAP => self.ecap,
            offset::RTADDR => self.rtaddr,
            offset::IQH => self.shown_head.into(),
            offset::IQT => self.tail.into(),
            offset::IQA => self.iqa,
            offset::IQER => self.iqer,
            _ => record_at(at).map_or(0, |(record, half)| self.records[record][half]),
        }
    }

    /// PPF is the OR of all F bits, and FRI (15:8) the first record in use.
    fn fault_status(&self) -> u32 {
        let used = |record: &[u64; 2]| record[1] & RECORDED != 0;
        match self.records.iter().position(used) {
            Some(first) => self.fsts | PPF | (first as u32) << 8,
            None => self.fsts,
        }
    }

    /// Writes a register.
    pub(super) fn write32(&mut self, at: usize, value: u32) -> Effect {
        match at {
            offset::GCMD => self.wanted = self.wanted & (SRTP | WBF) | value,
            offset::FSTS => {
                self.fsts &= !(value & CLEARABLE);
                if value & IQE != 0 {
                    self.iqer &= !0xf;
                    return Effect::Cleared;
                }
            }
            offset::IQT => {
                let old = core::mem::replace(&mut self.tail, value & POSITION);
                if self.queue_enabled() {
                    let overrun = self.overran(old);
                    return Effect::Doorbell { overrun };
                }
            }
            offset::ICS => self.ics &= !value,
            _ if at & !7 == offset::IQA && self.queue_enabled() => return Effect::Forbidden,
            _ => self.write_half(at, value),
        }
        Effect::Nothing
    }

    /// The tail moved from `old` to the head or beyond it: a full queue looks empty, so one entry stays free.
    fn overran(&self, old: u32) -> bool {
        let size = self.queue_bytes();
        let distance = |from: u32, to: u32| to.wrapping_sub(from) % size;
        distance(old, self.tail) > distance(old, self.head.wrapping_sub(self.entry_bytes()))
    }

    fn write_half(&mut self, at: usize, value: u32) {
        let shift = (at & 4) * 8;
        let whole = match at & !7 {
            offset::RTADDR => &mut self.rtaddr,
            offset::IQA => &mut self.iqa,
            other => {
                // F alone can be written, to clear it.
                if let Some((record, 1)) = record_at(other) {
                    self.records[record][1] &= !(u64::from(value) << shift & RECORDED);
                }
                return;
            }
        };
        *whole = *whole & !(0xffff_ffff << shift) | u64::from(value) << shift;
    }
}

/// Which fault record an offset lies in, and which half of it.
fn record_at(at: usize) -> Option<(usize, usize)> {
    let index = at.checked_sub(offset::FRCD)? / 8;
    (index < RECORDS * 2).then_some((index / 2, index % 2))
}

/// CAP (11.4.2).
fn capabilities(options: &VtdOptions) -> u64 {
    let bit = |set: bool, position: u32| u64::from(set) << position;
    // ND = 16 bits of domain; MGAW = 48 bits; SAGAW = 4 levels; PSI; FL1GP; read and write drain.
    let always = 6 | 1 << 10 | 47 << 16 | 1 << 39 | 1 << 54 | 1 << 55 | 1 << 56;
    always
        | bit(options.write_buffer, 4)
        | bit(options.caching_mode, 7)
        | (offset::FRCD as u64 / 16) << 24
        | (RECORDS as u64 - 1) << 40
        | u64::from(options.mamv) << 48
        | bit(options.five_levels, 60)
}

/// ECAP (11.4.3).
fn extended(options: &VtdOptions) -> u64 {
    let bit = |set: bool, position: u32| u64::from(set) << position;
    // QI, PASID, SMTS, FLTS; the IOTLB registers at 0x500.
    let always = 1 << 1 | 0x50 << 8 | 1 << 40 | 1 << 43 | 1 << 47;
    always
        | bit(options.coherent, 0)
        | bit(options.device_tlbs, 2)
        | u64::from(options.pasid_bits - 1) << 35
        | bit(options.throttles, 41)
        | bit(options.page_drain, 42)
        | bit(options.coherent, 48)
}
