//! The SMMU's side of its command queue (Arm IHI 0070 3.5, 4.7, 6.3, 7.1).

use crate::input::Input;
use crate::iommu::arena::{load, store32};
use crate::iommu::port::{Command, Unit};
use crate::iommu::registers::Registers;

const CR0: usize = 0x20;
const CR0ACK: usize = 0x24;
const IRQ_CTRL: usize = 0x50;
const GERROR: usize = 0x60;
const GERRORN: usize = 0x64;
const CMDQ_BASE: usize = 0x90;
const PROD: usize = 0x98;
const CONS: usize = 0x9c;
/// Offsets that lies are told about.
const READ: [usize; 6] = [CONS, GERROR, GERRORN, CR0ACK, PROD, 0x100a8];

/// What it says of itself.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    pub(super) ril: bool,
    /// IDR5.DS.
    pub(super) wide: bool,
}

pub(super) struct Queue {
    registers: Registers,
    done: Vec<Command>,
    /// Done at once, without mishaps.
    eager: bool,
    /// Where the message word of the driver is.
    pub(super) message: u64,
    /// Entries consumed, and handed over, since the queue was set up.
    consumed: u64,
    published: u64,
    /// The next CMD_SYNC with an ATC_INV before it fails.
    silent: bool,
    cut_off: bool,
}

impl Queue {
    pub(super) fn new(ids: Ids) -> Self {
        let mut registers = Registers::new(Self::LEN);
        // S1P, TTF = AArch64, COHACC, Hyp, ATS, ASID16, MSI, no stalls.
        registers.set(
            0,
            1 << 1 | 2 << 2 | 1 << 4 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13 | 1 << 24,
        );
        // 16-bit streams, 8-bit substreams, queues up to 2^19.
        registers.set(4, 16 | 8 << 6 | 19 << 16 | 19 << 21);
        registers.set(0xc, u32::from(ids.ril) << 10);
        registers.set(0x14, 5 | 7 << 4 | u32::from(ids.wide) << 7);
        Self {
            registers,
            done: Vec::new(),
            eager: true,
            message: 0,
            consumed: 0,
            published: 0,
            silent: false,
            cut_off: false,
        }
    }

    /// Set-up is over: commands wait until the body lets them be done.
    pub(super) fn be_lazy(&mut self) {
        self.eager = false;
    }

    fn log2(&self) -> u32 {
        self.registers.get(CMDQ_BASE) & 0x1f
    }

    /// Index and wrap bit.
    fn mask(&self) -> u32 {
        (2 << self.log2()) - 1
    }

    fn error_is_active(&self) -> bool {
        (self.registers.get(GERROR) ^ self.registers.get(GERRORN)) & 1 != 0
    }

    fn entry(&self) -> Command {
        let base = self.registers.get64(CMDQ_BASE) & ((1 << 56) - 1) & !0x1f;
        let slot = self.registers.get(CONS) & (self.mask() >> 1);
        let at = base + 16 * u64::from(slot);
        [load(at), load(at + 8)]
    }

    /// The next command is over, carried out or not.
    fn consume(&mut self, command: Command) {
        self.done.push(command);
        self.consumed += 1;
        let cons = self.registers.get(CONS);
        let index = cons.wrapping_add(1) & self.mask();
        self.registers.set(CONS, index | cons & 0x7f00_0000);
        let [w0, w1] = command;
        if w0 as u8 == 0x46 && w0 >> 12 & 3 == 1 && w1 != 0 {
            assert_eq!(w1, self.message, "a message to somebody else's memory");
            store32(w1, (w0 >> 32) as u32);
        }
    }

    /// Stops at the next command.
    fn fail(&mut self, error: u32) {
        if !self.error_is_active() {
            self.cut_off |= self.consumed < self.published && is_question(self.entry());
            let index = self.registers.get(CONS) & self.mask();
            self.registers.set(CONS, index | error << 24);
            self.registers.set(GERROR, self.registers.get(GERROR) ^ 1);
        }
    }

    /// Whether the CMD_SYNC at hand finds a device that has not answered; what that was told is then void.
    fn times_out(&mut self, command: Command) -> bool {
        if command[0] as u8 != 0x46 || !self.silent {
            return false;
        }
        let open = self
            .done
            .iter_mut()
            .rev()
            .take_while(|done| done[0] as u8 != 0x46);
        let mut any = false;
        for told in open.filter(|done| done[0] as u8 == 0x40) {
            self.cut_off |= is_question(*told);
            *told = [0; 2];
            any = true;
        }
        self.silent &= !any;
        any
    }

    /// A position that the driver may take for the truth is the truth: whatever stands before it counts as done.
    fn believe(&mut self, position: u64) {
        while self.consumed < position && position <= self.published {
            let command = self.entry();
            self.consume(command);
        }
    }

    /// The same for what lies in the message word.
    fn believe_message(&mut self) {
        let ahead = (load(self.message) as u32).wrapping_sub(self.consumed as u32);
        self.believe(self.consumed + u64::from(ahead));
    }

    fn believe_index(&mut self, cons: u32) {
        let ahead = cons.wrapping_sub(self.registers.get(CONS)) & self.mask();
        self.believe(self.consumed + u64::from(ahead));
    }

    fn ring_doorbell(&mut self, value: u32) {
        let fresh = value.wrapping_sub(self.registers.get(PROD)) & self.mask();
        self.registers.set(PROD, value);
        self.published += u64::from(fresh);
        let outstanding = self.published - self.consumed;
        assert!(
            outstanding <= 1 << self.log2(),
            "entries are overwritten: {value:#x}"
        );
        if self.message != 0 {
            self.believe_message();
        }
    }
}

impl Unit for Queue {
    const LEN: usize = 0x2_0000;

    fn read(&mut self, offset: usize) -> u32 {
        let shown = self.registers.show(offset);
        if offset == CONS && shown != u32::MAX {
            self.believe_index(shown);
        }
        shown
    }

    fn write(&mut self, offset: usize, value: u32) {
        match offset {
            CR0 => self.registers.set(CR0ACK, value),
            IRQ_CTRL => self.registers.set(IRQ_CTRL + 4, value),
            PROD if self.registers.get(CR0ACK) & 8 != 0 => self.ring_doorbell(value),
            _ => {}
        }
        self.registers.set(offset, value);
        if self.eager {
            self.run(usize::MAX);
        }
    }

    fn write64(&mut self, offset: usize, value: u64) {
        self.registers.set64(offset, value);
    }

    fn run(&mut self, most: usize) {
        for _ in 0..most {
            let enabled = self.registers.get(CR0ACK) & 8 != 0;
            if !enabled || self.error_is_active() || self.consumed == self.published {
                return;
            }
            let command = self.entry();
            if self.times_out(command) {
                return self.fail(3);
            }
            self.consume(command);
        }
    }

    fn disturb(&mut self, input: &mut Input<'_>, honest: bool) {
        let has_next = self.consumed < self.published;
        match input.below(if honest { 4 } else { 9 }) {
            0 => self.silent = true,
            // An error is of a command.
            1 | 2 if !has_next => {}
            1 => self.fail(1),
            2 => self.fail(2),
            // MSI_CMDQ_ABT_ERR.
            3 => self
                .registers
                .set(GERROR, self.registers.get(GERROR) ^ 1 << 4),
            4 => self.fail(input.below(128) as u32),
            5 => self.registers.set(GERROR, input.word() as u32),
            6 => {
                store32(self.message, input.word() as u32);
                self.believe_message();
            }
            7 => READ.iter().for_each(|at| self.registers.lie(*at, u32::MAX)),
            _ => {
                let at = input.pick(&READ);
                let value = match input.flag() {
                    true => input.word() as u32,
                    false => self.registers.get(at).wrapping_add(input.below(8) as u32),
                };
                self.registers.lie(at, value);
            }
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

/// An ATC_INV of everything, by which a device that was silent is asked again.
fn is_question([w0, w1]: Command) -> bool {
    w0 as u8 == 0x40 && w1 & 0x3f == 52
}
