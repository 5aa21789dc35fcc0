//! What a TLBI instruction finds in its register (Arm ARM C5.5, "TLBI VAE1IS" and "TLBI RVAE1IS").

use super::granule::{Granule, Level, Tables};
use super::operation::Operation;
use crate::address::VirtAddr;
use crate::arch::HardwareId;

const ASID_SHIFT: u32 = 48;
const ASID_MASK: u64 = 0xffff;

/// Bit 0 of the ASID: of a pair of ASIDs, the odd one, under which a process runs while the kernel is unmapped.
pub const ODD_ASID: u64 = 1 << ASID_SHIFT;

/// Operand of the operations by ASID: ASID\[63:48\].
pub const fn by_asid(id: HardwareId) -> u64 {
    (id.0 & ASID_MASK) << ASID_SHIFT
}

/// Operand of the operations by address: ASID\[63:48\], TTL\[47:44\], VA\[55:12\] in bits 43:0.
///
/// The address is in units of 4 KiB whatever the granule is, and its bits above 55 are cut off: those of a kernel address
/// would otherwise fill the other two fields. `ttl` is given only where every CPU has FEAT_TTL.
pub const fn by_address(id: HardwareId, ttl: Option<(Granule, Level)>, addr: VirtAddr) -> u64 {
    const ADDRESS_MASK: u64 = (1 << 44) - 1;
    let hint = match ttl {
        Some((granule, level)) => granule_field(granule) << 46 | level.number() << 44,
        None => 0,
    };
    by_asid(id) | hint | (addr.raw() >> 12 & ADDRESS_MASK)
}

/// Operand of the operations by range: ASID\[63:48\], TG\[47:46\], SCALE\[45:44\], NUM\[43:39\], TTL\[38:37\], BaseADDR\[36:0\].
///
/// TTL is part of FEAT_TLBIRANGE itself; level 0 cannot be named and is written as "any level".
pub const fn by_range(
    id: HardwareId,
    tables: Tables,
    level: Option<Level>,
    base: VirtAddr,
    scale: u8,
    num: u8,
) -> u64 {
    const BASE_MASK: u64 = (1 << 37) - 1;
    let hint = match level {
        Some(level) => level.number(),
        None => 0,
    };
    by_asid(id)
        | granule_field(tables.granule) << 46
        | (scale as u64 & 3) << 44
        | (num as u64 & 31) << 39
        | hint << 37
        | (base.raw() >> base_shift(tables) & BASE_MASK)
}

/// Operand of one step of a split range.
pub(super) const fn of(
    operation: Operation,
    id: HardwareId,
    tables: Tables,
    level: Option<Level>,
    ttl: bool,
) -> u64 {
    match operation {
        Operation::Page(addr) => match level {
            Some(level) if ttl => by_address(id, Some((tables.granule, level)), addr),
            _ => by_address(id, None, addr),
        },
        Operation::Range { base, scale, num } => by_range(id, tables, level, base, scale, num),
    }
}

const fn base_shift(tables: Tables) -> u8 {
    if tables.lpa2 {
        16
    } else {
        tables.granule.page_size().shift()
    }
}

/// TG and the upper half of TTL share one coding, in which 0 means that nothing is said.
const fn granule_field(granule: Granule) -> u64 {
    match granule {
        Granule::Kib4 => 1,
        Granule::Kib16 => 2,
        Granule::Kib64 => 3,
    }
}
