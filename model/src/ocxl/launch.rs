//! The words that start an invalidation, taken apart (Linux' `asm/pnv-ocxl.h`; skiboot's `npu2-regs.h` and the nest MMU's XTS ATSD
//! registers have the same fields).

use crate::tlb::{PowerScope, Reach};

/// LNCH, in the manual's numbering: R, bit 0.
const RADIX: u64 = 1 << 63;
/// PRS, bit 13.
const PROCESS_SCOPED: u64 = 1 << 50;
/// SINGLETON, bit 41, goes with an invalidation by PID.
const SINGLETON: u64 = 1 << 22;
/// RIC, bits 1:2; IS, bits 11:12; AP, bits 15:17; PID, bits 19:38.
const RIC: (u32, u64) = (61, 0b11);
const IS: (u32, u64) = (51, 0b11);
const AP: (u32, u64) = (46, 0b111);
const PID: (u32, u64) = (25, 0xf_ffff);
/// AVA, bits 0:51.
const ADDRESS: u64 = !0xfff;
/// Every bit that may be set. LP (3:10), B (14), L (18), F (39) and SLBI (40) are a hash table's, or tell to flush nothing.
const DEFINED: u64 = RADIX
    | PROCESS_SCOPED
    | SINGLETON
    | RIC.1 << RIC.0
    | IS.1 << IS.0
    | AP.1 << AP.0
    | PID.1 << PID.0;

/// The combination has no meaning for a radix process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Illegal;

/// What a launch is bound to remove.
pub(super) fn decode(launch: u64, ava: u64) -> Result<PowerScope, Illegal> {
    let field = |(shift, mask): (u32, u64)| launch >> shift & mask;
    let shift = match field(AP) {
        0 => 12,
        5 => 16,
        1 => 21,
        2 => 30,
        _ => return Err(Illegal),
    };
    let by_process = launch & SINGLETON != 0;
    let reach = match field(IS) {
        0 if !by_process => page(ava, shift)?,
        1 if by_process => Reach::Everywhere,
        _ => return Err(Illegal),
    };
    let is_radix = launch & RADIX != 0 && launch & PROCESS_SCOPED != 0;
    let ric = field(RIC);
    if !is_radix || ric == 3 || launch & !DEFINED != 0 {
        return Err(Illegal);
    }
    Ok(PowerScope {
        pid: Some(field(PID) as u32),
        reach,
        translations: ric != 1,
        walk_caches: ric != 0,
        process_table: ric == 2,
    })
}

fn page(ava: u64, shift: u8) -> Result<Reach, Illegal> {
    if ava & !ADDRESS != 0 {
        return Err(Illegal);
    }
    let within = (1 << shift) - 1;
    Ok(Reach::Pages {
        first: ava & !within,
        last: ava | within,
        shift,
    })
}
