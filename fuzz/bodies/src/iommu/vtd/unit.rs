//! The unit's side of its invalidation queue (VT-d specification 6.5.2, 11.4).

use crate::input::Input;
use crate::iommu::arena::{load, store32};
use crate::iommu::port::{Command, Unit};
use crate::iommu::registers::Registers;

const CAP: usize = 0x08;
const ECAP: usize = 0x10;
const GCMD: usize = 0x18;
const GSTS: usize = 0x1c;
const FSTS: usize = 0x34;
const IQH: usize = 0x80;
const IQT: usize = 0x88;
const IQA: usize = 0x90;
const IQER: usize = 0xb0;
/// Offsets that lies are told about.
const READ: [usize; 8] = [FSTS, IQH, IQH + 4, GSTS, IQT, IQER, IQER + 4, IQA];

const IQE: u32 = 1 << 4;
const ITE: u32 = 1 << 6;
const QIE: u32 = 1 << 26;
/// Two pages: entries, and their status words.
const STATUS_BYTES: u64 = 0x1000;

/// What it says of itself.
#[derive(Clone, Copy)]
pub(super) struct Says {
    /// CAP.MAMV.
    pub(super) largest_mask: u8,
    /// ECAP.DIT.
    pub(super) functions: bool,
    /// CAP.PSI.
    pub(super) by_page: bool,
}

pub(super) struct Queue {
    registers: Registers,
    done: Vec<Command>,
    eager: bool,
    /// Where the driver's status words are.
    pub(super) status: u64,
    silent: bool,
    cut_off: bool,
}

impl Queue {
    pub(super) fn new(says: Says) -> Self {
        let mut registers = Registers::new(Self::LEN);
        // ND = 6, 48-bit second stages, drains, FL1GP.
        let cap = 6 | 6 << 8 | 3 << 54 | 1 << 56;
        let (mask, by_page) = (u64::from(says.largest_mask), u64::from(says.by_page));
        registers.set64(CAP, cap | mask << 48 | by_page << 39);
        // C, QI, DT, PSS = 19, PASID, PDS, SMTS, FLTS, SMPWC.
        let ecap = 1 | 1 << 1 | 1 << 2 | 19 << 35 | 1 << 40 | 1 << 42 | 1 << 43 | 1 << 47 | 1 << 48;
        registers.set64(ECAP, ecap | u64::from(says.functions) << 41);
        Self {
            registers,
            done: Vec::new(),
            eager: true,
            status: 0,
            silent: false,
            cut_off: false,
        }
    }

    /// Set-up is over: descriptors wait until the body lets them be done.
    pub(super) fn be_lazy(&mut self) {
        self.eager = false;
    }

    fn size(&self) -> u64 {
        0x1000 << (self.registers.get64(IQA) & 7)
    }

    /// Bytes of a descriptor: IQA.DW, bit 11.
    fn width(&self) -> u64 {
        if self.registers.get64(IQA) & 1 << 11 != 0 {
            32
        } else {
            16
        }
    }

    fn next(&self) -> Option<Command> {
        let stopped = self.registers.get(FSTS) & (IQE | ITE) != 0;
        let enabled = self.registers.get(GSTS) & QIE != 0;
        let head = self.registers.get64(IQH);
        if stopped || !enabled || head == self.registers.get64(IQT) {
            return None;
        }
        let at = (self.registers.get64(IQA) & !0xfff) + head;
        if self.width() == 32 {
            assert_eq!((load(at + 16), load(at + 24)), (0, 0), "the upper half");
        }
        Some([load(at), load(at + 8)])
    }

    fn carry_out(&mut self, [w0, w1]: Command) {
        let head = (self.registers.get64(IQH) + self.width()) % self.size();
        self.registers.set64(IQH, head);
        if w0 & 0xf == 5 && self.times_out() {
            self.raise(ITE);
            return;
        }
        self.done.push([w0, w1]);
        if w0 & 0x2f == 0x25 {
            let words = self.status..self.status + STATUS_BYTES;
            assert!(words.contains(&w1), "a store to somebody else's memory");
            store32(w1, (w0 >> 32) as u32);
        }
    }

    /// Whether a wait finds a device that has not answered; what that was told is then void.
    fn times_out(&mut self) -> bool {
        let mut any = false;
        let open = self
            .done
            .iter_mut()
            .rev()
            .take_while(|done| done[0] & 0xf != 5);
        for told in open.filter(|done| self.silent && matches!(done[0] & 0xf, 3 | 8)) {
            self.cut_off |= is_question(*told);
            *told = [0; 2];
            any = true;
        }
        self.silent &= !any;
        any
    }

    fn raise(&mut self, fault: u32) {
        self.registers.set(FSTS, self.registers.get(FSTS) | fault);
    }

    fn write_tail(&mut self, value: u64) {
        assert!(
            value.is_multiple_of(self.width()) && value < self.size(),
            "a tail at {value:#x}"
        );
        let size = self.size();
        let ahead = |tail: u64| (tail + size - self.registers.get64(IQH)) % size;
        assert!(
            ahead(value) >= ahead(self.registers.get64(IQT)),
            "entries are lost: {value:#x}"
        );
        self.registers.set64(IQT, value);
    }

    fn command(&mut self, value: u32) {
        let status = self.registers.get(GSTS);
        if value & QIE != 0 && status & QIE == 0 {
            self.registers.set64(IQH, 0);
        }
        let kept = (status | value) & 1 << 30;
        self.registers
            .set(GSTS, value & (1 << 31 | QIE | 1 << 25) | kept);
    }
}

impl Unit for Queue {
    const LEN: usize = 0x1000;

    fn read(&mut self, offset: usize) -> u32 {
        self.registers.show(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            GCMD => self.command(value),
            FSTS => self.registers.set(FSTS, self.registers.get(FSTS) & !value),
            _ => self.registers.set(offset, value),
        }
        if self.eager {
            self.run(usize::MAX);
        }
    }

    fn write64(&mut self, offset: usize, value: u64) {
        match offset {
            IQT if self.registers.get(GSTS) & QIE != 0 => self.write_tail(value),
            _ => self.registers.set64(offset, value),
        }
        if self.eager {
            self.run(usize::MAX);
        }
    }

    fn run(&mut self, most: usize) {
        for _ in 0..most {
            let Some(descriptor) = self.next() else {
                return;
            };
            self.carry_out(descriptor);
        }
    }

    fn disturb(&mut self, input: &mut Input<'_>, honest: bool) {
        match input.below(if honest { 3 } else { 8 }) {
            0 => self.silent = true,
            kind @ (1 | 2) if self.next().is_some() => {
                self.cut_off |= self.next().is_some_and(is_question);
                self.registers.set64(IQER, if kind == 1 { 4 } else { 2 });
                self.raise(IQE);
            }
            3 => self.raise(input.word() as u32 & 0x7f),
            4 => self.registers.set64(IQER, input.word()),
            // No position is as high as that within a run.
            5 => {
                let word = self.status + 8 * input.below(STATUS_BYTES / 8);
                store32(word, input.word() as u32 | 1 << 31);
            }
            6 => READ.iter().for_each(|at| self.registers.lie(*at, u32::MAX)),
            7 => {
                let at = input.pick(&READ);
                let value = match input.flag() {
                    true => input.word() as u32,
                    false => self.registers.get(at) ^ 1 << input.below(32),
                };
                self.registers.lie(at, value);
            }
            _ => {}
        }
    }

    fn recover(&mut self) {
        self.registers.be_honest();
        self.silent = false;
        self.eager = true;
        self.run(usize::MAX);
    }

    fn has_cut_off(&self) -> bool {
        self.cut_off
    }

    fn done(&self) -> &[Command] {
        &self.done
    }
}

/// An invalidation of everything in a device, by which one that was silent is asked again.
fn is_question([w0, w1]: Command) -> bool {
    matches!(w0 & 0xf, 3 | 8) && w1 >> 12 == u64::MAX >> 13
}
