//! The descriptors (6.5.2), decoded from raw words with every legality rule.

use super::options::VtdOptions;
use crate::requests::{DeviceRequest, Pasids as OfPasids, Request};
use crate::tlb::{Addresses, Regime, Scope};

/// One descriptor, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Legal, and without effect here: interrupt entries, page responses, second stages.
    Nothing,
    /// Context-cache invalidation (6.5.2.1).
    Contexts(Contexts),
    /// PASID-cache invalidation (6.5.2.2).
    Pasids(Pasids),
    /// Both forms of IOTLB invalidation (6.5.2.3, 6.5.2.4).
    Tlb(Scope),
    /// Both forms of device-TLB invalidation (6.5.2.5, 6.5.2.6).
    Device(DeviceInv),
    /// Invalidation wait (6.5.2.8).
    Wait(Wait),
}

/// Which context entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Contexts {
    All,
    /// Scalable-mode context entries have no domain: nothing is bound to go.
    Domain,
    /// Source ids that equal `sid` outside of `masked`.
    Source {
        sid: u16,
        masked: u16,
    },
}

/// Which PASID-table entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pasids {
    All,
    Domain(u16),
    One { did: u16, pasid: u32 },
}

/// What a device is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceInv {
    pub(super) sid: u16,
    pub(super) pasid: Option<u32>,
    /// Every PASID.
    pub(super) global: bool,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Command {
    /// What it is to make somebody forget of translations.
    pub(super) fn request(&self) -> Option<Request> {
        match *self {
            Self::Tlb(scope) => Some(Request::Own(scope)),
            Self::Device(inv) => Some(inv.request()),
            _ => None,
        }
    }
}

impl DeviceInv {
    pub(super) fn request(&self) -> Request {
        Request::Device(DeviceRequest {
            device: self.sid.into(),
            pasids: if self.global {
                OfPasids::Any
            } else {
                OfPasids::One(self.pasid)
            },
            first: self.first,
            last: self.last,
        })
    }
}

/// What a wait descriptor asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) status: Option<(u64, u32)>,
    pub(super) interrupt: bool,
    /// Nothing behind it begins before it is done.
    pub(super) fence: bool,
}

/// Why the queue stopped: IQER.IQEI (11.4.9.9, table of invalidation queue errors).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Illegal {
    Tail = 1,
    Fetch = 2,
    Type = 3,
    Reserved = 4,
    Width = 5,
    TailAlignment = 6,
}

/// The type: bits 3:0, and bits 11:9 above them.
const TYPE: u64 = 0xe0f;
const GRANULARITY: u64 = 0b11 << 4;
const DID: u64 = 0xffff << 16;
const PASID: u64 = 0xf_ffff << 32;
/// The source id of types 1 and 3, and the interrupt index.
const SID_HIGH: u64 = 0xffff << 32;
/// The source id of types 8 and 9.
const SID_LOW: u64 = 0xffff << 16;
const PFSID: u64 = 0xf << 12 | 0xfff << 52;
const PAGE: u64 = 0xffff_ffff_ffff_f000;
const AM: u64 = 0x3f;
const IH: u64 = 1 << 6;
const INTERRUPT_FLAG: u64 = 1 << 4;
const STATUS_WRITE: u64 = 1 << 5;
const FENCE: u64 = 1 << 6;
const PAGE_DRAIN: u64 = 1 << 7;

/// Which bits of the first two words a type uses, besides the type; all others are reserved.
fn used(kind: u64, options: &VtdOptions) -> Option<(u64, u64)> {
    let pfsid = if options.throttles { PFSID } else { 0 };
    let drain = if options.page_drain { PAGE_DRAIN } else { 0 };
    Some(match kind {
        1 => (GRANULARITY | DID | SID_HIGH | 0b11 << 48, 0),
        // DW and DR are bits 6 and 7.
        2 => (GRANULARITY | 0b11 << 6 | DID, PAGE | IH | AM),
        3 if options.device_tlbs => (0x1f << 16 | SID_HIGH | pfsid, PAGE | 1),
        4 => (1 << 4 | 0x1f << 27 | SID_HIGH, 0),
        5 => (
            INTERRUPT_FLAG | STATUS_WRITE | FENCE | drain | 0xffff_ffff << 32,
            !0b11,
        ),
        6 => (GRANULARITY | DID | PASID, PAGE | IH | AM),
        7 => (GRANULARITY | DID | PASID, 0),
        8 if options.device_tlbs => (0x1f << 4 | SID_LOW | PASID | pfsid, PAGE | 1 << 11 | 1),
        9 => (1 << 4 | 0xf << 12 | SID_LOW | PASID, 0x1ff << 3 | 1 << 2),
        _ => return None,
    })
}

/// Decodes one entry. `wide` is IQA.DW: entries of 256 bits; the upper two words are zero otherwise.
pub(super) fn decode(
    words: [u64; 4],
    wide: bool,
    options: &VtdOptions,
) -> Result<Command, Illegal> {
    let [w0, w1, w2, w3] = words;
    let kind = w0 & TYPE;
    let (used0, used1) = used(kind, options).ok_or(Illegal::Type)?;
    // What knows of PASIDs has 256 bits.
    if !wide && kind >= 6 {
        return Err(Illegal::Width);
    }
    // The upper half of a page response is the device's own.
    let upper = kind != 9 && (w2 != 0 || w3 != 0);
    if w0 & !(used0 | TYPE) != 0 || w1 & !used1 != 0 || upper {
        return Err(Illegal::Reserved);
    }
    match kind {
        1 => contexts(w0),
        2 => tlb(w0, w1, options),
        3 => Ok(device(w0, w1)),
        5 => wait(w0, w1, options),
        6 => pasid_tlb(w0, w1, options),
        7 => pasids(w0),
        8 => Ok(pasid_device(w0, w1)),
        _ => Ok(Command::Nothing),
    }
}

fn granularity(w0: u64) -> u64 {
    (w0 & GRANULARITY) >> 4
}

fn did(w0: u64) -> u16 {
    (w0 >> 16) as u16
}

fn domain(w0: u64) -> Regime {
    Regime::Vtd { domain: did(w0) }
}

fn pasid(w0: u64) -> u32 {
    ((w0 & PASID) >> 32) as u32
}

fn contexts(w0: u64) -> Result<Command, Illegal> {
    Ok(Command::Contexts(match granularity(w0) {
        1 => Contexts::All,
        2 => Contexts::Domain,
        3 => Contexts::Source {
            sid: (w0 >> 32) as u16,
            // FM: none, bit 2, bits 2:1 or bits 2:0 of the function.
            masked: [0, 0b100, 0b110, 0b111][(w0 >> 48 & 0b11) as usize],
        },
        _ => return Err(Illegal::Reserved),
    }))
}

fn pasids(w0: u64) -> Result<Command, Illegal> {
    Ok(Command::Pasids(match granularity(w0) {
        0 => Pasids::Domain(did(w0)),
        1 => Pasids::One {
            did: did(w0),
            pasid: pasid(w0),
        },
        3 => Pasids::All,
        _ => return Err(Illegal::Reserved),
    }))
}

fn tlb(w0: u64, w1: u64, options: &VtdOptions) -> Result<Command, Illegal> {
    match granularity(w0) {
        1 => Ok(Command::Tlb(Scope::Everything)),
        2 => Ok(Command::Tlb(Scope::Regime(domain(w0)))),
        3 if w1 & AM > u64::from(options.mamv) => Err(Illegal::Reserved),
        // Page-selective: the second stage alone.
        3 => Ok(Command::Nothing),
        _ => Err(Illegal::Reserved),
    }
}

fn pasid_tlb(w0: u64, w1: u64, options: &VtdOptions) -> Result<Command, Illegal> {
    let regime = domain(w0);
    let am = w1 & AM;
    match granularity(w0) {
        2 => Ok(Command::Tlb(Scope::Asid(regime, pasid(w0)))),
        3 if options.bounds_pasid_masks && am > u64::from(options.mamv) => Err(Illegal::Reserved),
        3 => {
            let mask = u64::MAX.checked_shr(52 - am as u32).unwrap_or(u64::MAX);
            // An address that is not aligned to its mask: nothing is bound to go.
            if w1 & PAGE & mask != 0 {
                return Ok(Command::Nothing);
            }
            Ok(Command::Tlb(Scope::Addresses(Addresses {
                regime,
                asid: Some(pasid(w0)),
                first: w1 & PAGE,
                last: w1 & PAGE | mask,
                leaf_only: w1 & IH != 0,
                level: None,
                whole: true,
            })))
        }
        _ => Err(Illegal::Reserved),
    }
}

fn device(w0: u64, w1: u64) -> Command {
    let (first, last) = block(w1, w1 & 1 != 0);
    Command::Device(DeviceInv {
        sid: (w0 >> 32) as u16,
        pasid: None,
        global: false,
        first,
        last,
    })
}

fn pasid_device(w0: u64, w1: u64) -> Command {
    let (first, last) = block(w1, w1 & 1 << 11 != 0);
    Command::Device(DeviceInv {
        sid: (w0 >> 16) as u16,
        pasid: Some(pasid(w0)),
        global: w1 & 1 != 0,
        first,
        last,
    })
}

/// One page, or with S the block whose size the lowest clear address bit codes (PCIe ATS 10.3.3).
fn block(w1: u64, sized: bool) -> (u64, u64) {
    if !sized {
        return (w1 & PAGE, w1 | !PAGE);
    }
    let ones = (w1 >> 12).trailing_ones();
    let mask = u64::MAX.checked_shr(51 - ones.min(51)).unwrap_or(u64::MAX);
    (w1 & !mask, w1 | mask)
}

fn wait(w0: u64, w1: u64, options: &VtdOptions) -> Result<Command, Illegal> {
    let (status, interrupt) = (w0 & STATUS_WRITE != 0, w0 & INTERRUPT_FLAG != 0);
    let bare = !status && !interrupt;
    if (status && interrupt) || (bare && !options.bare_fences) {
        return Err(Illegal::Reserved);
    }
    Ok(Command::Wait(Wait {
        status: status.then_some((w1, (w0 >> 32) as u32)),
        interrupt,
        fence: w0 & FENCE != 0,
    }))
}
