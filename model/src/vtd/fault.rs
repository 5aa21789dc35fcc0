//! Fault reasons (7.2.3) and records (11.4.14).

use super::request::Request;
use super::unit::Vtd;

/// The root table's address or mode is invalid.
pub(super) const BAD_ROOT: u8 = 0x30;
/// DTE is clear in the context entry of a translation request.
pub(super) const NO_DEVICE_TLB: u8 = 0x44;
/// PASIDE is clear in the context entry of a request with PASID.
pub(super) const NO_PASIDS: u8 = 0x45;
/// A first-stage entry is not present.
pub(super) const NOT_PRESENT: u8 = 0x71;
/// The address is not canonical.
pub(super) const NOT_CANONICAL: u8 = 0x80;
/// U/S is clear.
pub(super) const NOT_USER: u8 = 0x81;
/// R/W is clear for a write.
pub(super) const NOT_WRITABLE: u8 = 0x85;

impl Vtd {
    /// Writes a record: SID 79:64, PP 95, reason 103:96, PASID 123:104, and T1 126 for reads; the page is in the lower half.
    pub(super) fn record(&mut self, reason: u8, request: &Request) {
        let pasid = request
            .pasid
            .map_or(0, |pasid| 1 << 31 | u64::from(pasid) << 40);
        let read = u64::from(!request.write) << 62;
        let high = u64::from(request.sid) | pasid | u64::from(reason) << 32 | read;
        self.registers.record(request.va & !0xfff, high);
    }
}
