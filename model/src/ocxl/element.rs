//! Process elements: what the link is told of a PASID (Linux' `ocxl/link.c` and skiboot's `npu2-opencapi.c`; OpenCAPI 3.0 TL calls the PASID
//! so). 128 bytes, big-endian.

use crate::memory::Memory;

/// Bytes of one.
pub(super) const LEN: u64 = 128;
const WORDS: usize = 16;
/// Doubleword 0, config_state: XLAT, bits 5:6, is 3 for radix under radix; SF (0), HV (3), PR (49), TC (54) and DR (59) may be set.
const XLAT: u64 = 0b11 << 57;
const DR: u64 = 1 << 4;
const CONFIG: u64 = XLAT | DR | 1 << 63 | 1 << 60 | 1 << 14 | 1 << 9;
/// Bytes 124 to 127, software_state: the element is valid.
const VALID: u64 = 0x8000_0000;

/// A valid element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// The function whose accelerator uses it.
    pub(super) function: u16,
    pub(super) pid: u32,
}

/// There is none to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// It is not valid: the machine stops.
    Absent,
    /// Fields that are reserved, or contradict the PASID or each other.
    Malformed,
}

/// The element of a PASID in the scheduled process area at `area`, as the link may see it: stores that no barrier has put in order arrive
/// in the order that is worst.
pub(super) fn read(memory: &Memory, area: u64, pasid: u32) -> Result<Element, Bad> {
    let at = |index: usize| area + u64::from(pasid) * LEN + index as u64 * 8;
    let published = |index| u64::from_be(memory.device_read(at(index)).unwrap_or(0));
    let latest = |index| u64::from_be(memory.read(at(index)));
    let is_valid = |state: u64| state & 0xffff_ffff == VALID;
    let words: [u64; WORDS] = if is_valid(latest(WORDS - 1)) {
        core::array::from_fn(published)
    } else if is_valid(published(WORDS - 1)) {
        core::array::from_fn(latest)
    } else {
        return Err(Bad::Absent);
    };
    decode(&words, pasid).ok_or(Bad::Malformed)
}

fn decode(words: &[u64; WORDS], pasid: u32) -> Option<Element> {
    let [config, names, ..] = *words;
    let is_radix = config & (XLAT | DR) == XLAT | DR && config & !CONFIG == 0;
    // Bytes 8 to 11 the PASID, shifted by 12; 12 and 13 the function; 48 to 51 nothing; 52 LPID; 56 TID; 60 PID; 104 AMR.
    let is_its = names >> 32 == u64::from(pasid) << 12 && names & 0xffff == 0;
    let reserved = [2, 3, 4, 5, 8, 9, 10, 11, 12, 14];
    let is_clear = reserved.iter().all(|&index| words[index] == 0) && words[6] >> 32 == 0;
    (is_radix && is_its && is_clear && words[15] >> 32 == 0).then_some(Element {
        function: (names >> 16) as u16,
        pid: words[7] as u32,
    })
}
