//! The commands (AMD 48882, "Commands"; the same fields in VirtualBox's `CMD_*_T`), decoded from raw words with every legality rule.

use super::options::AmdOptions;
use crate::requests::{DeviceRequest, Pasids, Request};
use crate::tlb::{Addresses, Regime, Scope};

/// One command, understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Legal, and without effect here: interrupts and page requests are not modelled.
    Nothing,
    Wait(Wait),
    /// INVALIDATE_DEVTAB_ENTRY.
    DeviceEntry {
        device: u32,
    },
    /// INVALIDATE_IOMMU_PAGES.
    Pages(Pages),
    /// INVALIDATE_IOTLB_PAGES.
    DeviceTlb(DeviceTlb),
    /// INVALIDATE_IOMMU_ALL.
    All,
}

impl Command {
    /// What it is to make somebody forget of translations.
    pub(super) fn request(&self) -> Option<Request> {
        match *self {
            Self::Pages(pages) => Some(Request::Own(pages.scope())),
            Self::DeviceTlb(inv) => Some(inv.request()),
            Self::All => Some(Request::Own(Scope::Everything)),
            _ => None,
        }
    }
}

impl Pages {
    pub(super) fn scope(&self) -> Scope {
        let domain = self.domain;
        Scope::Addresses(Addresses {
            regime: match self.pasid {
                Some(pasid) => Regime::AmdGuest { domain, pasid },
                None => Regime::AmdHost { domain },
            },
            asid: None,
            first: self.block.first,
            last: self.block.last,
            leaf_only: !self.directories,
            level: None,
            whole: true,
        })
    }
}

impl DeviceTlb {
    pub(super) fn request(&self) -> Request {
        Request::Device(DeviceRequest {
            device: self.device,
            pasids: Pasids::One(self.pasid),
            first: self.block.first,
            last: self.block.last,
        })
    }
}

/// COMPLETION_WAIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Where it stores what.
    pub(super) store: Option<(u64, u64)>,
    pub(super) interrupt: bool,
    /// F: nothing after it starts before it is done.
    pub(super) flush: bool,
}

/// What goes from the IOMMU's own caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pages {
    pub(super) domain: u16,
    /// GN = 1: guest translations of this PASID. Else the domain's host translations.
    pub(super) pasid: Option<u32>,
    pub(super) block: Block,
    /// PDE: directories go too.
    pub(super) directories: bool,
}

/// What a device is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeviceTlb {
    pub(super) device: u32,
    pub(super) pasid: Option<u32>,
    pub(super) block: Block,
}

/// An aligned power of two of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Block {
    /// With S, the lowest zero bit from bit 12 on gives the size: 2^(bit + 1) bytes. Everything is its natural end.
    fn new(w1: u64) -> Self {
        let address = w1 & ADDRESS;
        let zero = if w1 & SIZE != 0 {
            12 + (address >> 12).trailing_ones()
        } else {
            11
        };
        let offset = if zero >= 63 {
            u64::MAX
        } else {
            (2 << zero) - 1
        };
        Self {
            first: address & !offset,
            last: address | offset,
        }
    }

    pub(super) fn is_everything(&self) -> bool {
        self.first == 0 && self.last == u64::MAX
    }
}

/// ILLEGAL_COMMAND_ERROR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Illegal;

const OPCODE: u64 = 0xf << 60;
const DEVICE: u64 = 0xffff;
const ADDRESS: u64 = 0xffff_ffff_ffff_f000;
const SIZE: u64 = 1 << 0;
const PDE: u64 = 1 << 1;
const GN: u64 = 1 << 2;

/// Which bits of the two words a command uses, besides the opcode; all others are reserved.
fn used(opcode: u64, options: &AmdOptions) -> Option<(u64, u64)> {
    let guest = |bits| if options.gt { bits } else { 0 };
    let types = if options.iotlb_types { 0b11 << 4 } else { 0 };
    Some(match opcode {
        1 => (0x000f_ffff_ffff_ffff, u64::MAX),
        2 | 5 => (DEVICE, 0),
        3 => (
            guest(0xf_ffff) | 0xffff << 32,
            SIZE | PDE | guest(GN) | ADDRESS,
        ),
        4 if options.iotlb => (
            DEVICE | 0xff << 24 | 0xffff << 32 | guest(0xff << 16 | 0xfff << 48),
            SIZE | guest(GN) | types | ADDRESS,
        ),
        7 if options.ppr => (DEVICE | 0xf_ffff << 32, GN | 0xffff << 32),
        8 if options.ia => (0, 0),
        _ => return None,
    })
}

/// Decodes the two words of one entry.
pub(super) fn decode(w0: u64, w1: u64, options: &AmdOptions) -> Result<Command, Illegal> {
    let opcode = w0 >> 60;
    let (used0, used1) = used(opcode, options).ok_or(Illegal)?;
    if w0 & !(used0 | OPCODE) != 0 || w1 & !used1 != 0 {
        return Err(Illegal);
    }
    Ok(match opcode {
        1 => wait(w0, w1),
        2 => Command::DeviceEntry {
            device: (w0 & DEVICE) as u32,
        },
        3 => Command::Pages(Pages {
            domain: (w0 >> 32) as u16,
            pasid: (w1 & GN != 0).then_some((w0 & 0xf_ffff) as u32),
            block: Block::new(w1),
            directories: w1 & PDE != 0,
        }),
        4 => Command::DeviceTlb(DeviceTlb {
            device: (w0 & DEVICE) as u32,
            pasid: (w1 & GN != 0).then(|| device_pasid(w0)),
            block: Block::new(w1),
        }),
        8 => Command::All,
        _ => Command::Nothing,
    })
}

fn wait(w0: u64, w1: u64) -> Command {
    Command::Wait(Wait {
        store: (w0 & 1 != 0).then_some((w0 & 0x000f_ffff_ffff_fff8, w1)),
        interrupt: w0 & 0b10 != 0,
        flush: w0 & 0b100 != 0,
    })
}

/// PASID[7:0] stands in bits 55:48, PASID[15:8] in bits 23:16, PASID[19:16] in bits 59:56. Linux's `build_inv_iotlb_pages` fills
/// the first two; VirtualBox has fields of 8 and of 12 bits in the same places.
fn device_pasid(w0: u64) -> u32 {
    let (low, middle, high) = (w0 >> 48 & 0xff, w0 >> 16 & 0xff, w0 >> 56 & 0xf);
    (low | middle << 8 | high << 16) as u32
}
