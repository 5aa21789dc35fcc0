//! Events (AMD 48882, "Event Logging"; the same fields in VirtualBox's `EVT_*_T`) and the log they are written to.

use super::iommu::Iommu;
use super::request::Request;
use crate::ground::Ground;

/// ILLEGAL_DEV_TABLE_ENTRY.
pub(super) const ILLEGAL_ENTRY: u8 = 1;
/// IO_PAGE_FAULT.
pub(super) const PAGE_FAULT: u8 = 2;
/// INVALID_DEVICE_REQUEST.
pub(super) const INVALID_REQUEST: u8 = 8;

const ILLEGAL_COMMAND: u64 = 5;
const COMMAND_HARDWARE: u64 = 6;
const INVALIDATION_TIMEOUT: u64 = 7;

/// Turns between the tail and the entry with erratum 732.
const LATE: u8 = 4;

/// An event that the tail has passed and that is not in memory yet.
#[derive(Debug)]
pub(super) struct Late {
    at: u64,
    words: Words,
    turns: u8,
}

/// Two words. The code is in bits 63:60 of the first.
pub(super) type Words = [u64; 2];

/// The command at `at` has no such opcode, or reserved bits set.
pub(super) fn illegal_command(at: u64) -> Words {
    [ILLEGAL_COMMAND << 60, at]
}

/// The fetch from `at` was not answered: type 1, master abort, in bits 58:57.
pub(super) fn command_hardware_error(at: u64) -> Words {
    [COMMAND_HARDWARE << 60 | 1 << 57, at]
}

/// The device did not answer the command at `at`.
pub(super) fn invalidation_timeout(device: u32, at: u64) -> Words {
    [INVALIDATION_TIMEOUT << 60 | u64::from(device), at]
}

/// A request that was refused: the device in bits 15:0, PASID[19:16] in 19:16, PASID[15:0] or the domain in 47:32, GN in 48, RW in 53,
/// PE in 54, TR in 56.
pub(super) fn refused(code: u8, request: &Request, domain: u16, permission: bool) -> Words {
    let (high, low) = match request.pasid {
        Some(pasid) => (u64::from(pasid >> 16), u64::from(pasid & 0xffff)),
        None => (0, u64::from(domain)),
    };
    let bit = |set: bool, position: u32| u64::from(set) << position;
    let flags = bit(request.pasid.is_some(), 48)
        | bit(request.write, 53)
        | bit(permission, 54)
        | bit(request.ats, 56);
    let word = u64::from(request.device) | high << 16 | low << 32 | flags;
    [u64::from(code) << 60 | word, request.va]
}

impl Iommu {
    /// Writes an event, if the log runs and has room. Without room the log stops.
    pub(super) fn record(&mut self, words: Words, ground: &mut Ground) {
        if !self.registers.events_run {
            return;
        }
        let Some((at, tail)) = self.registers.event_slot() else {
            self.registers.overflow();
            return;
        };
        self.registers.event_tail = tail;
        self.registers.signal_event();
        if self.options.event_tail_first {
            self.unwritten.push(Late {
                at,
                words,
                turns: LATE,
            });
        } else {
            write(at, words, ground);
        }
    }

    /// Writes the entries that the tail has passed long enough ago.
    pub(super) fn write_late_events(&mut self, ground: &mut Ground) {
        self.unwritten.retain_mut(|late| {
            late.turns -= 1;
            if late.turns == 0 {
                write(late.at, late.words, ground);
            }
            late.turns != 0
        });
    }
}

/// The code last: whoever waits for it finds the rest.
fn write(at: u64, [w0, w1]: Words, ground: &mut Ground) {
    ground.memory.write(at + 8, w1);
    ground.memory.write(at, w0);
}
