//! The registers (chapter 6): offsets, which bits stick, and what a read returns.

use super::options::SmmuOptions;

/// Offsets in page 0 (6.2).
pub(super) mod offset {
    pub(crate) const IDR0: usize = 0x00;
    pub(crate) const IDR1: usize = 0x04;
    pub(crate) const IDR3: usize = 0x0c;
    pub(crate) const IDR5: usize = 0x14;
    pub(crate) const IIDR: usize = 0x18;
    pub(crate) const AIDR: usize = 0x1c;
    pub(crate) const CR0: usize = 0x20;
    pub(crate) const CR0ACK: usize = 0x24;
    pub(crate) const CR1: usize = 0x28;
    pub(crate) const CR2: usize = 0x2c;
    pub(crate) const GBPA: usize = 0x44;
    pub(crate) const IRQ_CTRL: usize = 0x50;
    pub(crate) const IRQ_CTRLACK: usize = 0x54;
    pub(crate) const GERROR: usize = 0x60;
    pub(crate) const GERRORN: usize = 0x64;
    pub(crate) const STRTAB_BASE: usize = 0x80;
    pub(crate) const STRTAB_BASE_CFG: usize = 0x88;
    pub(crate) const CMDQ_BASE: usize = 0x90;
    pub(crate) const CMDQ_PROD: usize = 0x98;
    pub(crate) const CMDQ_CONS: usize = 0x9c;
    pub(crate) const EVENTQ_BASE: usize = 0xa0;
    /// In page 1 (6.2).
    pub(crate) const EVENTQ_PROD: usize = 0x1_00a8;
    /// In page 1 (6.2).
    pub(crate) const EVENTQ_CONS: usize = 0x1_00ac;
}

/// CR0 (6.3.9).
const SMMUEN: u32 = 1 << 0;
const EVENTQEN: u32 = 1 << 2;
const CMDQEN: u32 = 1 << 3;
/// SMMUEN, PRIQEN, EVENTQEN, CMDQEN, ATSCHK: the bits that are acknowledged.
const CR0_BITS: u32 = 0x1f;
/// CR2 (6.3.12).
const E2H: u32 = 1 << 0;
const PTM: u32 = 1 << 2;
/// GBPA (6.3.15).
const UPDATE: u32 = 1 << 31;
const ABORT: u32 = 1 << 20;

/// GERROR (6.3.19).
pub(super) const CMDQ_ERR: u32 = 1 << 0;
pub(super) const EVENTQ_ABT: u32 = 1 << 2;
pub(super) const MSI_CMDQ_ABT: u32 = 1 << 4;
pub(super) const SFM: u32 = 1 << 8;

/// EVENTQ_PROD.OVFLG and EVENTQ_CONS.OVACKFLG, bit 31 (6.3.31, 6.3.32).
pub(super) const OVERFLOW: u32 = 1 << 31;

/// Why the command queue stopped: CMDQ_CONS.ERR, bits 30:24 (6.3.28, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandError {
    Illegal = 1,
    Abort = 2,
    AtcInvSync = 3,
}

/// The register file.
#[derive(Debug, Default)]
pub(super) struct Registers {
    ids: [u32; 8],
    cr0: u32,
    cr0ack: u32,
    cr1: u32,
    cr2: u32,
    gbpa: u32,
    irq_ctrl: u32,
    irq_ctrlack: u32,
    pub(super) gerror: u32,
    pub(super) gerrorn: u32,
    pub(super) strtab_base: u64,
    pub(super) strtab_cfg: u32,
    cmdq_base: u64,
    pub(super) prod: u32,
    pub(super) cons: u32,
    error: u32,
    /// CMDQ_CONS as software is shown it: updates come late (6.3.28).
    shown_cons: u32,
    pub(super) eventq_base: u64,
    pub(super) eventq_prod: u32,
    pub(super) eventq_cons: u32,
}

impl Registers {
    pub(super) fn new(options: &SmmuOptions) -> Self {
        Self {
            ids: identification(options),
            ..Self::default()
        }
    }

    /// Enables and updates take effect a step after they were written.
    pub(super) fn acknowledge(&mut self) {
        self.cr0ack = self.cr0 & CR0_BITS;
        self.irq_ctrlack = self.irq_ctrl;
        self.gbpa &= !UPDATE;
    }

    pub(super) fn show_cons(&mut self) {
        self.shown_cons = self.cons | self.error << 24;
    }

    pub(super) fn enabled(&self) -> bool {
        self.cr0ack & SMMUEN != 0
    }

    pub(super) fn events_enabled(&self) -> bool {
        self.cr0ack & EVENTQEN != 0
    }

    pub(super) fn commands_enabled(&self) -> bool {
        self.cr0ack & CMDQEN != 0
    }

    pub(super) fn aborts_when_disabled(&self) -> bool {
        self.gbpa & ABORT != 0
    }

    pub(super) fn ignores_broadcasts(&self) -> bool {
        self.cr2 & PTM != 0
    }

    pub(super) fn e2h(&self) -> bool {
        self.cr2 & E2H != 0
    }

    pub(super) fn command_error_active(&self) -> bool {
        (self.gerror ^ self.gerrorn) & CMDQ_ERR != 0
    }

    /// Makes errors active; those that are already stay as they are (6.3.19).
    pub(super) fn raise(&mut self, errors: u32) {
        let active = self.gerror ^ self.gerrorn;
        self.gerror ^= errors & !active;
    }

    /// A record was lost: OVFLG toggles, unless an earlier loss has not been acknowledged (7.4).
    pub(super) fn lose_event(&mut self) {
        if (self.eventq_prod ^ self.eventq_cons) & OVERFLOW == 0 {
            self.eventq_prod ^= OVERFLOW;
        }
    }

    /// Stops the command queue: the reason is visible before the toggle is (7.1).
    pub(super) fn stop(&mut self, error: CommandError) {
        self.error = error as u32;
        self.show_cons();
        self.raise(CMDQ_ERR);
    }

    /// log2 of the command queue's size, as far as the implementation goes.
    pub(super) fn cmdq_log2(&self) -> u32 {
        let cmdqs = self.ids[1] >> 21 & 0x1f;
        (self.cmdq_base as u32 & 0x1f).min(cmdqs)
    }

    /// Where the queue is: the address is aligned down to the larger of the queue's size and 32 bytes (6.3.26).
    pub(super) fn cmdq_address(&self) -> u64 {
        let bytes = (16_u64 << self.cmdq_log2()).max(32);
        self.cmdq_base & 0x00ff_ffff_ffff_ffe0 & !(bytes - 1)
    }

    pub(super) fn read32(&self, at: usize) -> u32 {
        match at {
            offset::IDR0..=offset::AIDR => self.ids[at / 4],
            offset::CR0 => self.cr0,
            offset::CR0ACK => self.cr0ack,
            offset::CR1 => self.cr1,
            offset::CR2 => self.cr2,
            offset::GBPA => self.gbpa,
            offset::IRQ_CTRL => self.irq_ctrl,
            offset::IRQ_CTRLACK => self.irq_ctrlack,
            offset::GERROR => self.gerror,
            offset::GERRORN => self.gerrorn,
            offset::STRTAB_BASE_CFG => self.strtab_cfg,
            offset::CMDQ_PROD => self.prod,
            offset::CMDQ_CONS => self.shown_cons,
            offset::EVENTQ_PROD => self.eventq_prod,
            offset::EVENTQ_CONS => self.eventq_cons,
            _ => self.read_half(at),
        }
    }

    fn read_half(&self, at: usize) -> u32 {
        let whole = match at & !7 {
            offset::STRTAB_BASE => self.strtab_base,
            offset::CMDQ_BASE => self.cmdq_base,
            offset::EVENTQ_BASE => self.eventq_base,
            _ => 0,
        };
        (whole >> ((at & 4) * 8)) as u32
    }

    /// Writes a register. True for the doorbell.
    pub(super) fn write32(&mut self, at: usize, value: u32) -> bool {
        let (enabled, commands) = (self.cr0 & SMMUEN != 0, self.cr0 & CMDQEN != 0);
        match at {
            offset::CR0 => self.cr0 = value & CR0_BITS,
            offset::CR1 => self.cr1 = value,
            // Guarded by SMMUEN (6.3.12).
            offset::CR2 if !enabled => self.cr2 = value,
            offset::GBPA => self.gbpa = value,
            offset::IRQ_CTRL => self.irq_ctrl = value & 0b111,
            offset::GERRORN => self.acknowledge_errors(value),
            // Guarded by SMMUEN (6.3.24, 6.3.25).
            offset::STRTAB_BASE_CFG if !enabled => self.strtab_cfg = value,
            offset::CMDQ_PROD => {
                self.prod = value & 0xf_ffff;
                return commands;
            }
            // Writable while the queue is disabled alone (6.3.28).
            offset::CMDQ_CONS if !commands => {
                self.cons = value & 0xf_ffff;
                self.show_cons();
            }
            offset::EVENTQ_PROD => self.eventq_prod = value,
            offset::EVENTQ_CONS => self.eventq_cons = value,
            _ => self.write_half(at, value, enabled, commands),
        }
        false
    }

    fn write_half(&mut self, at: usize, value: u32, enabled: bool, commands: bool) {
        let whole = match at & !7 {
            offset::STRTAB_BASE if !enabled => &mut self.strtab_base,
            // Guarded by CMDQEN (6.3.26).
            offset::CMDQ_BASE if !commands => &mut self.cmdq_base,
            offset::EVENTQ_BASE => &mut self.eventq_base,
            _ => return,
        };
        let shift = (at & 4) * 8;
        *whole = *whole & !(0xffff_ffff << shift) | u64::from(value) << shift;
    }

    fn acknowledge_errors(&mut self, value: u32) {
        self.gerrorn = value;
        if !self.command_error_active() {
            self.error = 0;
            self.show_cons();
        }
    }
}

/// IDR0 to IDR5, IIDR and AIDR (6.3.1 to 6.3.8).
fn identification(options: &SmmuOptions) -> [u32; 8] {
    let bit = |set: bool, position: u32| u32::from(set) << position;
    let mut ids = [0; 8];
    // S1P; TTF = AArch64; COHACC; CD2L; TTENDIAN = little; STALL_MODEL = no stalls; ST_LEVEL = two-level.
    let always = 1 << 1 | 0b10 << 2 | 1 << 4 | 1 << 19 | 0b10 << 21 | 0b01 << 24 | 0b01 << 27;
    ids[offset::IDR0 / 4] = always
        | bit(options.stage2, 0)
        | bit(options.btm, 5)
        | bit(options.hyp, 9)
        | bit(options.ats, 10)
        | bit(options.asid16, 12)
        | bit(options.msi, 13)
        | bit(options.sev, 14)
        | bit(options.stage2, 18);
    ids[offset::IDR1 / 4] = u32::from(options.sid_bits)
        | u32::from(options.ssid_bits) << 6
        | 8 << 16
        | u32::from(options.cmdqs) << 21;
    ids[offset::IDR3 / 4] = bit(options.ril, 10);
    // OAS = 48 bits, 4 KiB granule.
    ids[offset::IDR5 / 4] = 0b101 | 1 << 4 | bit(options.ds, 7);
    // Architecture 3.2, with which RIL is mandatory, or 3.1 without.
    ids[offset::AIDR / 4] = if options.ril { 2 } else { 1 };
    ids[offset::IIDR / 4] = 0;
    ids
}
