//! The operands of TLBI instructions, taken apart (Arm ARM C5.5). Nothing: an encoding that need not remove any entry.

use super::state::CpuFeatures;
use crate::tlb::{Addresses, Regime, Scope};

/// TG and the upper bits of TTL: 4 KiB, the granule of every table here.
const GRANULE_4K: u64 = 0b01;

/// By address: ASID 63:48, TTL 47:44, VA\[55:12\] in 43:0. `every_asid`: the VAA forms, whose upper bits are RES0.
pub(crate) fn by_address(
    operand: u64,
    leaf_only: bool,
    every_asid: bool,
    features: &CpuFeatures,
) -> Option<Scope> {
    let asid = (operand >> 48) as u32;
    let hint = operand >> 44 & 0xf;
    if (every_asid && asid != 0) || (!features.ttl && hint != 0) {
        return None;
    }
    // Bits 55:12 of a canonical address: bit 55 is repeated above.
    let va = sign_extend(operand << 12, 55);
    let level = match (hint >> 2, hint & 0b11) {
        (0, _) | (GRANULE_4K, 0) => None,
        (GRANULE_4K, level) => Some(level as i8),
        // A hint of another granule is a wrong hint: nothing is bound to go.
        _ => return None,
    };
    Some(Scope::Addresses(Addresses {
        regime: Regime::El1,
        asid: (!every_asid).then_some(asid),
        first: va,
        last: va | 0xfff,
        leaf_only,
        level,
        whole: false,
    }))
}

/// By range (FEAT_TLBIRANGE): ASID 63:48, TG 47:46, SCALE 45:44, NUM 43:39, TTL 38:37, BaseADDR 36:0 = VA\[48:12\].
pub(crate) fn by_range(
    operand: u64,
    leaf_only: bool,
    every_asid: bool,
    features: &CpuFeatures,
) -> Option<Scope> {
    let asid = (operand >> 48) as u32;
    let (tg, scale) = (operand >> 46 & 0b11, operand >> 44 & 0b11);
    let (num, ttl) = (operand >> 39 & 0x1f, operand >> 37 & 0b11);
    if !features.range || tg != GRANULE_4K || (every_asid && asid != 0) {
        return None;
    }
    let first = sign_extend(operand << 12, 48);
    // A base that is not aligned to the hinted level: UNPREDICTABLE, so nothing is bound to go.
    let unaligned = match ttl {
        1 => first & 0x3fff_f000 != 0,
        2 => first & 0x001f_f000 != 0,
        _ => false,
    };
    if unaligned {
        return None;
    }
    let pages = (num + 1) << (5 * scale + 1);
    Some(Scope::Addresses(Addresses {
        regime: Regime::El1,
        asid: (!every_asid).then_some(asid),
        first,
        last: first.saturating_add(pages * 0x1000 - 1),
        leaf_only,
        level: (ttl != 0).then_some(ttl as i8),
        whole: false,
    }))
}

/// By ASID: ASID 63:48, the rest RES0.
pub(crate) fn by_asid(operand: u64) -> Option<Scope> {
    let asid = (operand >> 48) as u32;
    (operand << 16 == 0).then_some(Scope::Asid(Regime::El1, asid))
}

/// Repeats `top` in every bit above it.
fn sign_extend(value: u64, top: u32) -> u64 {
    let up = 63 - top;
    (((value << up) as i64) >> up) as u64
}
