//! The IOMMU's side of its command buffer and event log (AMD 48882 2.4, 2.5, 3.4).

use crate::input::Input;
use crate::iommu::arena::{load, store};
use crate::iommu::port::{Command, Unit};
use crate::iommu::registers::Registers;

const COMMAND_BASE: usize = 0x08;
const EVENT_BASE: usize = 0x10;
const CONTROL: usize = 0x18;
const FEATURES: usize = 0x30;
const COMMAND_HEAD: usize = 0x2000;
const COMMAND_TAIL: usize = 0x2008;
const EVENT_HEAD: usize = 0x2010;
const EVENT_TAIL: usize = 0x2018;
const STATUS: usize = 0x2020;
/// Offsets that lies are told about.
const READ: [usize; 6] = [
    STATUS,
    COMMAND_HEAD,
    EVENT_TAIL,
    EVENT_HEAD,
    COMMAND_TAIL,
    CONTROL,
];

const OVERFLOW: u32 = 1 << 0;
const EVENT_RUN: u32 = 1 << 3;
const COMMAND_RUN: u32 = 1 << 4;
const COMMANDS: u64 = 1 << 12 | 1;

pub(super) struct Buffer {
    registers: Registers,
    done: Vec<Command>,
    eager: bool,
    /// Where the driver's completion word is.
    pub(super) completion: u64,
    halted: bool,
    /// The next device that is told something does not answer.
    silent: bool,
    cut_off: bool,
    /// Events are lost.
    mute: bool,
}

impl Buffer {
    pub(super) fn new(invalidates_all: bool) -> Self {
        let mut registers = Registers::new(Self::LEN);
        // PPR, GT, IA, 4-level tables, GCR3 tables of 3 levels, 20-bit PASIDs, GIoV.
        let features = 1 << 1 | 1 << 4 | 2 << 14 | 19 << 32 | 1 << 48;
        registers.set64(FEATURES, features | u64::from(invalidates_all) << 6);
        Self {
            registers,
            done: Vec::new(),
            eager: true,
            completion: 0,
            halted: false,
            silent: false,
            cut_off: false,
            mute: false,
        }
    }

    /// Set-up is over: commands wait until the body lets them be done.
    pub(super) fn be_lazy(&mut self) {
        self.eager = false;
    }

    fn buffer(&self, base: usize) -> (u64, u32) {
        let base = self.registers.get64(base);
        (base & 0xf_ffff_ffff_f000, 16 << (base >> 56 & 0xf))
    }

    fn status(&self) -> u32 {
        self.registers.get(STATUS)
    }

    /// The command at the head, where one is to be done.
    fn next(&self) -> Option<(u64, Command)> {
        let (base, bytes) = self.buffer(COMMAND_BASE);
        let head = self.registers.get(COMMAND_HEAD) % bytes;
        let running = self.status() & COMMAND_RUN != 0;
        let at = base + u64::from(head);
        let has_one = running && head != self.registers.get(COMMAND_TAIL) % bytes;
        has_one.then(|| (at, [load(at), load(at + 8)]))
    }

    fn carry_out(&mut self, at: u64, [w0, w1]: Command) {
        let (_, bytes) = self.buffer(COMMAND_BASE);
        let head = self.registers.get(COMMAND_HEAD) % bytes;
        self.registers.set(COMMAND_HEAD, (head + 16) % bytes);
        if w0 >> 60 == 4 && std::mem::take(&mut self.silent) {
            // IOTLB_INV_TIMEOUT names it.
            self.cut_off = true;
            self.record([7 << 60 | w0 & 0xffff, at]);
            self.done.push([0; 2]);
            return;
        }
        self.done.push([w0, w1]);
        if w0 >> 60 == 1 && w0 & 1 != 0 {
            let place = w0 & 0xf_ffff_ffff_fff8;
            assert_eq!(place, self.completion, "a store to somebody else's memory");
            store(place, w1);
        }
    }

    /// ILLEGAL_COMMAND_ERROR (5) or COMMAND_HARDWARE_ERROR (6).
    fn halt(&mut self, kind: u64) {
        if let Some((at, command)) = self.next() {
            self.cut_off |= is_question(command);
            self.halted = true;
            self.registers.set(STATUS, self.status() & !COMMAND_RUN);
            self.record([kind << 60, at]);
        }
    }

    fn record(&mut self, words: [u64; 2]) {
        let (base, bytes) = self.buffer(EVENT_BASE);
        let tail = (self.registers.get(EVENT_TAIL) % bytes) & !0xf;
        let next = (tail + 16) % bytes;
        if self.mute || self.status() & EVENT_RUN == 0 {
            return;
        }
        if next == self.registers.get(EVENT_HEAD) % bytes {
            self.registers
                .set(STATUS, self.status() & !EVENT_RUN | OVERFLOW);
            return;
        }
        store(base + u64::from(tail) + 8, words[1]);
        store(base + u64::from(tail), words[0]);
        self.registers.set(EVENT_TAIL, next);
    }

    fn write_control(&mut self, value: u64) {
        let before = self.registers.get64(CONTROL);
        self.registers.set64(CONTROL, value);
        if value & COMMANDS == COMMANDS && before & COMMANDS != COMMANDS {
            self.halted = false;
        }
        let mut run = 0;
        if value & COMMANDS == COMMANDS && !self.halted {
            run |= COMMAND_RUN;
        }
        if value & 5 == 5 && self.status() & OVERFLOW == 0 {
            run |= EVENT_RUN;
        }
        self.registers
            .set(STATUS, self.status() & !(COMMAND_RUN | EVENT_RUN) | run);
    }

    fn check_tail(&self, value: u32) {
        let (_, bytes) = self.buffer(COMMAND_BASE);
        assert!(
            value < bytes && value.is_multiple_of(16),
            "a tail at {value:#x}"
        );
        let ahead = |tail: u32| (tail + bytes - self.registers.get(COMMAND_HEAD) % bytes) % bytes;
        if self.status() & COMMAND_RUN != 0 {
            let before = self.registers.get(COMMAND_TAIL);
            assert!(
                ahead(value) >= ahead(before),
                "entries are lost: {value:#x}"
            );
        }
    }
}

impl Unit for Buffer {
    const LEN: usize = 0x4000;

    fn read(&mut self, offset: usize) -> u32 {
        self.registers.show(offset)
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            STATUS => {
                let status = self.status() & !(value & 0x67);
                return self.registers.set(STATUS, status);
            }
            COMMAND_TAIL => self.check_tail(value),
            _ => {}
        }
        self.registers.set(offset, value);
        if self.eager {
            self.run(usize::MAX);
        }
    }

    fn write64(&mut self, offset: usize, value: u64) {
        if offset == CONTROL {
            self.write_control(value);
        } else {
            self.registers.set64(offset, value);
        }
        if offset == COMMAND_BASE {
            self.registers.set(COMMAND_HEAD, 0);
            self.registers.set(COMMAND_TAIL, 0);
        }
        if self.eager {
            self.run(usize::MAX);
        }
    }

    fn run(&mut self, most: usize) {
        for _ in 0..most {
            let Some((at, command)) = self.next() else {
                return;
            };
            self.carry_out(at, command);
        }
    }

    fn disturb(&mut self, input: &mut Input<'_>, honest: bool) {
        match input.below(if honest { 4 } else { 9 }) {
            0 => self.silent = true,
            1 => self.halt(5),
            2 => self.halt(6),
            3 => self.mute = !self.mute && !honest,
            // Far from anything that was ever asked to be stored.
            4 => store(self.completion, input.word() >> 2 | 1 << 62),
            5 => self.record([input.word(), input.word()]),
            6 => self.registers.set(EVENT_TAIL, input.word() as u32),
            7 => READ.iter().for_each(|at| self.registers.lie(*at, u32::MAX)),
            _ => {
                let at = input.pick(&READ);
                let value = match input.flag() {
                    true => input.word() as u32,
                    false => self.registers.get(at) ^ 1 << input.below(32),
                };
                self.registers.lie(at, value);
            }
        }
    }

    fn recover(&mut self) {
        self.registers.be_honest();
        (self.silent, self.mute, self.eager) = (false, false, true);
        self.run(usize::MAX);
    }

    fn has_cut_off(&self) -> bool {
        self.cut_off
    }

    fn done(&self) -> &[Command] {
        &self.done
    }
}

/// An INVALIDATE_IOTLB_PAGES of everything, by which a device that was not told is asked again.
fn is_question([w0, w1]: Command) -> bool {
    w0 >> 60 == 4 && w1 >> 12 == u64::MAX >> 13
}
