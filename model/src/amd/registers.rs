//! The registers (AMD 48882, "MMIO Registers"; the same bits in VirtualBox's `IOMMU_CTRL_T`, `IOMMU_EXT_FEAT_T` and `IOMMU_STATUS_T`).

use super::options::AmdOptions;

/// Offsets.
pub(super) mod offset {
    pub(crate) const DEVICE_TABLE: usize = 0x00;
    pub(crate) const COMMAND_BASE: usize = 0x08;
    pub(crate) const EVENT_BASE: usize = 0x10;
    pub(crate) const CONTROL: usize = 0x18;
    /// Exclusion base and limit; the completion range under SNP.
    pub(crate) const EXCLUSION_BASE: usize = 0x20;
    pub(crate) const EXCLUSION_LIMIT: usize = 0x28;
    pub(crate) const FEATURES: usize = 0x30;
    pub(crate) const COMMAND_HEAD: usize = 0x2000;
    pub(crate) const COMMAND_TAIL: usize = 0x2008;
    pub(crate) const EVENT_HEAD: usize = 0x2010;
    pub(crate) const EVENT_TAIL: usize = 0x2018;
    pub(crate) const STATUS: usize = 0x2020;
}

/// Control: IommuEn, EventLogEn, InvTimeOut, CmdBufEn, GTEn.
const IOMMU_EN: u64 = 1 << 0;
const EVENT_LOG_EN: u64 = 1 << 2;
const INV_TIME_OUT: u64 = 0b111 << 5;
const CMD_BUF_EN: u64 = 1 << 12;
const GT_EN: u64 = 1 << 16;

/// Status: the first three are cleared by writing 1, the other two are read-only.
const EVENT_OVERFLOW: u64 = 1 << 0;
const EVENT_LOG_INT: u64 = 1 << 1;
const COM_WAIT_INT: u64 = 1 << 2;
const EVENT_LOG_RUN: u64 = 1 << 3;
const CMD_BUF_RUN: u64 = 1 << 4;

/// Base registers: the address, and the length code in bits 59:56. A device table's size is in bits 8:0.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// Head and tail registers: byte offsets in bits 18:4.
const POINTER: u64 = 0x0007_fff0;

/// What a write asks the IOMMU to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// Nothing.
    Plain,
    /// The tail moved from here: a doorbell.
    Tail { from: u64 },
    /// The command buffer was switched off: what was fetched and is not complete is forgotten.
    Disabled,
    /// A base or a head may be written while its queue stands alone.
    Locked,
}

/// The register file.
#[derive(Debug, Default)]
pub(super) struct Registers {
    features: u64,
    pub(super) device_table: u64,
    command_base: u64,
    event_base: u64,
    control: u64,
    exclusion_base: u64,
    exclusion_limit: u64,
    pub(super) head: u64,
    /// The head as software is shown it.
    shown_head: u64,
    pub(super) tail: u64,
    event_head: u64,
    pub(super) event_tail: u64,
    /// The status bits that are cleared by writing 1.
    sticky: u64,
    /// CmdBufRun and EventLogRun: enables take effect a step after they were written.
    pub(super) commands_run: bool,
    pub(super) events_run: bool,
    /// An error stopped the command buffer; CmdBufEn must fall and rise.
    halted: bool,
    /// An overflow stopped the event log; EventLogEn must fall and rise.
    overflowed: bool,
}

impl Registers {
    pub(super) fn new(options: &AmdOptions) -> Self {
        Self {
            features: features(options),
            ..Self::default()
        }
    }

    /// Enables take effect. A reserved length code never runs.
    pub(super) fn acknowledge(&mut self) {
        let enabled = |bit| self.control & IOMMU_EN != 0 && self.control & bit != 0;
        let (commands, events) = (enabled(CMD_BUF_EN), enabled(EVENT_LOG_EN));
        self.commands_run = commands && !self.halted && size(self.command_base).is_some();
        self.events_run = events && !self.overflowed && size(self.event_base).is_some();
    }

    pub(super) fn enabled(&self) -> bool {
        self.control & IOMMU_EN != 0
    }

    pub(super) fn guest_enabled(&self) -> bool {
        self.control & GT_EN != 0
    }

    /// Whether devices that do not answer are given up at all.
    pub(super) fn times_out(&self) -> bool {
        self.control & INV_TIME_OUT != 0
    }

    /// CmdBufRun falls, and the head stays.
    pub(super) fn halt(&mut self) {
        self.halted = true;
        self.commands_run = false;
        self.show_head();
    }

    pub(super) fn show_head(&mut self) {
        self.shown_head = self.head;
    }

    /// EventOverflow rises, and EventLogRun falls.
    pub(super) fn overflow(&mut self) {
        self.overflowed = true;
        self.events_run = false;
        self.sticky |= EVENT_OVERFLOW;
    }

    pub(super) fn signal_event(&mut self) {
        self.sticky |= EVENT_LOG_INT;
    }

    pub(super) fn signal_completion(&mut self) {
        self.sticky |= COM_WAIT_INT;
    }

    /// The size of the command buffer in bytes, 0 where its length code is reserved.
    pub(super) fn command_bytes(&self) -> u64 {
        size(self.command_base).unwrap_or(0)
    }

    pub(super) fn command_at(&self, pointer: u64) -> u64 {
        (self.command_base & ADDRESS) + pointer
    }

    /// Where the next event goes, and what the tail is afterwards; nothing where the log is full.
    pub(super) fn event_slot(&self) -> Option<(u64, u64)> {
        let next = (self.event_tail + 16) % size(self.event_base)?;
        (next != self.event_head).then(|| ((self.event_base & ADDRESS) + self.event_tail, next))
    }

    /// Whether the 8 bytes at `at` lie in the completion range.
    pub(super) fn in_completion_range(&self, at: u64) -> bool {
        let pages = (self.exclusion_base & ADDRESS)..=(self.exclusion_limit & ADDRESS);
        pages.contains(&(at & ADDRESS))
    }

    pub(super) fn read(&self, at: usize) -> u64 {
        match at {
            offset::DEVICE_TABLE => self.device_table,
            offset::COMMAND_BASE => self.command_base,
            offset::EVENT_BASE => self.event_base,
            offset::CONTROL => self.control,
            offset::EXCLUSION_BASE => self.exclusion_base,
            offset::EXCLUSION_LIMIT => self.exclusion_limit,
            offset::FEATURES => self.features,
            offset::COMMAND_HEAD => self.shown_head,
            offset::COMMAND_TAIL => self.tail,
            offset::EVENT_HEAD => self.event_head,
            offset::EVENT_TAIL => self.event_tail,
            offset::STATUS => self.status(),
            _ => 0,
        }
    }

    /// What the other half of a register is written with when one half is: what stands there, or nothing where 1 clears.
    pub(super) fn unwritten_half(&self, at: usize) -> u64 {
        if at == offset::STATUS {
            0
        } else {
            self.read(at)
        }
    }

    fn status(&self) -> u64 {
        let run = |runs, bit| if runs { bit } else { 0 };
        self.sticky | run(self.events_run, EVENT_LOG_RUN) | run(self.commands_run, CMD_BUF_RUN)
    }

    pub(super) fn write(&mut self, at: usize, value: u64) -> Written {
        match at {
            offset::COMMAND_BASE | offset::COMMAND_HEAD if self.commands_run => {
                return Written::Locked;
            }
            offset::EVENT_BASE | offset::EVENT_TAIL if self.events_run => return Written::Locked,
            offset::DEVICE_TABLE => self.device_table = value,
            // Writing a base resets its head and tail.
            offset::COMMAND_BASE => {
                (self.command_base, self.head, self.tail) = (value, 0, 0);
                self.show_head();
            }
            offset::EVENT_BASE => {
                (self.event_base, self.event_head, self.event_tail) = (value, 0, 0);
            }
            offset::CONTROL => return self.write_control(value),
            offset::EXCLUSION_BASE => self.exclusion_base = value,
            offset::EXCLUSION_LIMIT => self.exclusion_limit = value,
            offset::COMMAND_HEAD => {
                self.head = value & POINTER;
                self.show_head();
            }
            offset::COMMAND_TAIL => {
                let from = core::mem::replace(&mut self.tail, value & POINTER);
                return Written::Tail { from };
            }
            offset::EVENT_HEAD => self.event_head = value & POINTER,
            offset::EVENT_TAIL => self.event_tail = value & POINTER,
            offset::STATUS => self.sticky &= !value,
            _ => {}
        }
        Written::Plain
    }

    fn write_control(&mut self, value: u64) -> Written {
        let falls = self.control & !value & CMD_BUF_EN != 0;
        self.control = value;
        self.halted &= value & CMD_BUF_EN != 0;
        self.overflowed &= value & EVENT_LOG_EN != 0;
        if falls {
            Written::Disabled
        } else {
            Written::Plain
        }
    }
}

/// 2^code entries of 16 bytes; codes below 8 are reserved.
fn size(base: u64) -> Option<u64> {
    let code = base >> 56 & 0xf;
    (code >= 8).then(|| 16 << code)
}

/// HATS is four levels.
fn features(options: &AmdOptions) -> u64 {
    let bit = |set: bool, position: u32| u64::from(set) << position;
    let guest = if options.gt {
        u64::from(options.guest_levels - 4) << 12
            | u64::from(options.gcr3_levels - 1) << 14
            | u64::from(options.pasid_bits - 1) << 32
    } else {
        0
    };
    bit(options.ppr, 1)
        | bit(options.gt, 4)
        | bit(options.ia, 6)
        | bit(options.giov, 48)
        | bit(options.iotlb_types, 54)
        | bit(options.snp, 63)
        | guest
}
