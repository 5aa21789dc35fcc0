//! Events (AMD 48882, "Event Logging"; the same fields in VirtualBox's `EVT_*_T`).

use super::request::Request;

/// ILLEGAL_DEV_TABLE_ENTRY.
pub(super) const ILLEGAL_ENTRY: u8 = 1;
/// IO_PAGE_FAULT.
pub(super) const PAGE_FAULT: u8 = 2;
/// INVALID_DEVICE_REQUEST.
pub(super) const INVALID_REQUEST: u8 = 8;

const ILLEGAL_COMMAND: u64 = 5;
const COMMAND_HARDWARE: u64 = 6;
const INVALIDATION_TIMEOUT: u64 = 7;

/// An event that the tail has passed and that is not in memory yet.
#[derive(Debug)]
pub(super) struct Late {
    pub(super) at: u64,
    pub(super) words: Words,
    /// Turns until it is.
    pub(super) turns: u8,
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
