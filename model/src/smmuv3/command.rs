//! The commands (chapter 4), decoded from raw words with every legality rule.

use super::options::SmmuOptions;
use crate::requests::{DeviceRequest, Pasids, Request};
use crate::tlb::{Addresses, Regime, Scope};

/// One command, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Legal, and without effect here: a hint, an id that nothing has, or a combination that hardware may disregard.
    Nothing,
    /// CFGI_STE (4.3.1); all CDs reached through it go with it.
    Ste { sid: u32, leaf: bool },
    /// CFGI_STE_RANGE and CFGI_ALL (4.3.2).
    Stes { first: u32, last: u32 },
    /// CFGI_CD (4.3.3).
    Cd { sid: u32, ssid: u32, leaf: bool },
    /// CFGI_CD_ALL (4.3.4).
    Cds { sid: u32 },
    /// Every TLBI (4.4).
    Tlbi(Scope),
    /// ATC_INV (4.5.1).
    Atc(AtcInv),
    /// CMD_SYNC (4.7.3), with where its message goes.
    Sync { message: Option<(u64, u32)> },
}

/// What a device is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AtcInv {
    pub(super) sid: u32,
    /// Nothing: without a PASID, which reaches entries of every PASID.
    pub(super) ssid: Option<u32>,
    pub(super) first: u64,
    pub(super) last: u64,
    pub(super) size: u32,
}

impl Command {
    /// What it is to make somebody forget of translations.
    pub(super) fn request(&self) -> Option<Request> {
        match *self {
            Self::Tlbi(scope) => Some(Request::Own(scope)),
            Self::Atc(inv) => Some(inv.request()),
            _ => None,
        }
    }
}

impl AtcInv {
    pub(super) fn request(&self) -> Request {
        Request::Device(DeviceRequest {
            device: self.sid,
            pasids: match self.ssid {
                None => Pasids::All,
                ssid => Pasids::One(ssid),
            },
            first: self.first,
            last: self.last,
        })
    }
}

/// The command is illegal: CERROR_ILL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Illegal;

const OPCODE: u64 = 0xff;
const SSV: u64 = 1 << 11;
const SSID: u64 = 0xf_ffff << 12;
const SID: u64 = 0xffff_ffff << 32;
const VMID: u64 = 0xffff << 32;
const ASID: u64 = 0xffff << 48;
const NUM: u64 = 0x1f << 12;
const SCALE: u64 = 0x1f << 20;
/// Bit 25 joins SCALE with IDR5.DS alone (4.4.1.1).
const SCALE_DS: u64 = 1 << 25;
const LEAF: u64 = 1;
const TTL: u64 = 0b11 << 8;
const TG: u64 = 0b11 << 10;
const PAGE: u64 = 0xffff_ffff_ffff_f000;
/// ATC_INV's size that means everything (4.5.1).
const ATC_ALL: u32 = 52;

/// Which bits of the two words a command uses, besides the opcode; all others are RES0 (4.1.5). SSec (bit 10) is not among
/// them: it must be 0 in the non-secure queue (4.1.6).
fn used(opcode: u8, options: &SmmuOptions) -> Option<(u64, u64)> {
    let range = if options.ril { NUM | SCALE } else { 0 };
    let range = range
        | if options.ril && options.ds {
            SCALE_DS
        } else {
            0
        };
    let by_va = LEAF | PAGE | if options.ril { TTL | TG } else { 0 };
    Some(match opcode {
        0x01 => (SSV | SSID | SID, 0),
        0x02 => (SSV | SSID | SID, 0x1f | PAGE),
        0x03 => (SID, LEAF),
        0x04 => (SID, 0x1f),
        0x05 => (SSID | SID, LEAF),
        0x06 => (SID, 0),
        0x10 => (VMID, 0),
        0x11 => (VMID | ASID, 0),
        0x12 => (range | VMID | ASID, by_va),
        0x13 => (range | VMID, by_va),
        0x20 if options.hyp => (0, 0),
        0x21 if options.hyp => (ASID, 0),
        0x22 if options.hyp => (range | ASID, by_va),
        0x23 if options.hyp => (range, by_va),
        0x28 if options.stage2 => (VMID, 0),
        0x2a if options.stage2 => (range | VMID, by_va & 0x00ff_ffff_ffff_ffff),
        0x30 => (0, 0),
        0x40 if options.ats => (1 << 9 | SSV | SSID | SID, 0x3f | PAGE),
        0x46 => (
            0b11 << 12 | 0b11 << 22 | 0xf << 24 | SID,
            0x00ff_ffff_ffff_fffc,
        ),
        _ => return None,
    })
}

/// Decodes the two words of one entry. `e2h` is CR2.E2H.
pub(super) fn decode(
    w0: u64,
    w1: u64,
    options: &SmmuOptions,
    e2h: bool,
) -> Result<Command, Illegal> {
    let opcode = (w0 & OPCODE) as u8;
    let (used0, used1) = used(opcode, options).ok_or(Illegal)?;
    if w0 & !(used0 | OPCODE) != 0 || w1 & !used1 != 0 {
        return Err(Illegal);
    }
    match opcode {
        0x03..=0x06 => Ok(configuration(opcode, w0, w1)),
        0x10..=0x30 => tlbi(opcode, w0, w1, options, e2h),
        0x40 => atc_inv(w0, w1),
        0x46 => sync(w0, w1, options),
        _ => Ok(Command::Nothing),
    }
}

fn sid(w0: u64) -> u32 {
    (w0 >> 32) as u32
}

fn ssid(w0: u64) -> u32 {
    ((w0 & SSID) >> 12) as u32
}

fn configuration(opcode: u8, w0: u64, w1: u64) -> Command {
    let (sid, leaf) = (sid(w0), w1 & LEAF != 0);
    match opcode {
        0x03 => Command::Ste { sid, leaf },
        0x04 => {
            // 2^(Range + 1) streams, aligned; 31 is CFGI_ALL (4.3.2).
            let mask = ((2_u64 << (w1 & 0x1f)) - 1) as u32;
            Command::Stes {
                first: sid & !mask,
                last: sid | mask,
            }
        }
        0x05 => Command::Cd {
            sid,
            ssid: ssid(w0),
            leaf,
        },
        _ => Command::Cds { sid },
    }
}

fn tlbi(
    opcode: u8,
    w0: u64,
    w1: u64,
    options: &SmmuOptions,
    e2h: bool,
) -> Result<Command, Illegal> {
    let asid = (w0 >> 48) as u32;
    let regime = if (0x20..=0x23).contains(&opcode) {
        Regime::El2
    } else {
        Regime::El1
    };
    let scope = match opcode {
        0x10 | 0x20 | 0x28 | 0x30 => Some(Scope::Regime(regime)),
        0x11 | 0x21 => Some(Scope::Asid(regime, asid)),
        0x12 | 0x22 => by_address(w0, w1, regime, Some(asid), options)?,
        0x13 | 0x23 => by_address(w0, w1, regime, None, options)?,
        // Stage-2 entries are not cached apart here; the encoding is checked all the same.
        _ => by_address(w0, w1, regime, None, options)?.and(None),
    };
    // A VMID without stage 2, and ASID bits beyond those implemented, may make the command do nothing (4.4, 4.4.2); every
    // context here has VMID 0. Without E2H, by-ASID and by-VA commands leave E2H-tagged entries alone (4.4.2.8).
    let disregarded = (w0 & used(opcode, options).map_or(0, |(bits, _)| bits) & VMID != 0)
        || (!options.asid16 && asid > 0xff)
        || (matches!(opcode, 0x21..=0x23) && !e2h);
    Ok(match scope {
        Some(scope) if !disregarded => Command::Tlbi(scope),
        _ => Command::Nothing,
    })
}

/// The by-address forms (4.4.1.1). Nothing where hardware may leave every entry as it is.
fn by_address(
    w0: u64,
    w1: u64,
    regime: Regime,
    asid: Option<u32>,
    options: &SmmuOptions,
) -> Result<Option<Scope>, Illegal> {
    let scale_bits = if options.ds { SCALE | SCALE_DS } else { SCALE };
    let (num, scale) = ((w0 & NUM) >> 12, (w0 & scale_bits) >> 20);
    let (ttl, tg) = ((w1 & TTL) >> 8, (w1 & TG) >> 10);
    let first = w1 & PAGE;
    // TG = 2 (16 KiB) with TTL = 1 is treated as TTL = 0 without DS, and is then perhaps the reserved combination.
    let hint = if tg == 2 && ttl == 1 && !options.ds {
        0
    } else {
        ttl
    };
    let plain = num == 0 && scale == 0 && hint == 0;
    if (tg == 0 && (num != 0 || scale != 0 || ttl != 0)) || (tg != 0 && plain) || scale > 39 {
        return Err(Illegal);
    }
    let unaligned = match ttl {
        1 => first & 0x3fff_f000 != 0,
        2 => first & 0x001f_f000 != 0,
        _ => false,
    };
    // Entries of another granule may stay, and every table here has 4 KiB granules.
    if tg > 1 || unaligned {
        return Ok(None);
    }
    let bytes = (num + 1) << (scale + 12);
    Ok(Some(Scope::Addresses(Addresses {
        regime,
        asid,
        first,
        // The range does not wrap at the top.
        last: first.saturating_add(bytes - 1),
        leaf_only: w1 & LEAF != 0,
        level: (ttl != 0).then_some(ttl as i8),
        whole: false,
    })))
}

fn atc_inv(w0: u64, w1: u64) -> Result<Command, Illegal> {
    let size = (w1 & 0x3f) as u32;
    if size > ATC_ALL {
        return Err(Illegal);
    }
    // Naturally aligned by hardware.
    let mask = if size == ATC_ALL {
        u64::MAX
    } else {
        (0x1000 << size) - 1
    };
    Ok(Command::Atc(AtcInv {
        sid: sid(w0),
        // G widens to every PASID, and is ignored without SSV.
        ssid: (w0 & SSV != 0 && w0 & 1 << 9 == 0).then(|| ssid(w0)),
        first: w1 & PAGE & !mask,
        last: w1 | mask,
        size,
    }))
}

fn sync(w0: u64, w1: u64, options: &SmmuOptions) -> Result<Command, Illegal> {
    let signal = w0 >> 12 & 0b11;
    if signal == 3 {
        return Err(Illegal);
    }
    let message = (signal == 1 && options.msi && w1 != 0).then_some((w1, (w0 >> 32) as u32));
    Ok(Command::Sync { message })
}
