//! Event records (7.3) and the queue they are written to.

use super::registers::{EVENTQ_ABT, OVERFLOW};
use super::request::Request;
use super::smmu::Smmu;
use crate::ground::Ground;

/// C_BAD_STREAMID.
pub(super) const BAD_STREAMID: u8 = 0x02;
/// C_BAD_STE.
pub(super) const BAD_STE: u8 = 0x04;
/// F_BAD_ATS_TREQ.
pub(super) const BAD_ATS_REQUEST: u8 = 0x05;
/// F_STREAM_DISABLED.
pub(super) const STREAM_DISABLED: u8 = 0x06;
/// C_BAD_SUBSTREAMID.
pub(super) const BAD_SUBSTREAMID: u8 = 0x08;
/// C_BAD_CD.
pub(super) const BAD_CD: u8 = 0x0a;
/// F_TRANSLATION.
pub(super) const TRANSLATION: u8 = 0x10;
/// F_ACCESS.
pub(super) const ACCESS: u8 = 0x12;
/// F_PERMISSION.
pub(super) const PERMISSION: u8 = 0x13;

impl Smmu {
    /// Writes a record, if the queue is enabled and has room.
    pub(super) fn record(&mut self, event: u8, request: &Request, ground: &mut Ground) {
        let registers = &mut self.registers;
        let log2 = (registers.eventq_base as u32 & 0x1f).min(8);
        let (size, wrap) = (1_u32 << log2, (2_u32 << log2) - 1);
        let fill = registers.eventq_prod.wrapping_sub(registers.eventq_cons) & wrap;
        if !registers.events_enabled() {
            return;
        }
        if fill >= size {
            registers.lose_event();
            return;
        }
        let base = registers.eventq_base & 0x00ff_ffff_ffff_ffe0;
        let at = base + u64::from(registers.eventq_prod & (size - 1)) * 32;
        if ground.memory.device_read(at).is_none() {
            registers.raise(EVENTQ_ABT);
            return;
        }
        let next = registers.eventq_prod.wrapping_add(1) & wrap;
        registers.eventq_prod = registers.eventq_prod & OVERFLOW | next;
        for (index, word) in words(event, request).into_iter().enumerate() {
            ground.memory.write(at + index as u64 * 8, word);
        }
    }
}

/// SSV is bit 11, SSID 31:12, StreamID 63:32; RnW bit 35 of the second word; the address is the third (7.3).
fn words(event: u8, request: &Request) -> [u64; 4] {
    let substream = request
        .ssid
        .map_or(0, |ssid| 1 << 11 | u64::from(ssid) << 12);
    [
        u64::from(event) | substream | u64::from(request.sid) << 32,
        u64::from(!request.write) << 35,
        request.va,
        0,
    ]
}
