//! Commands: 16 bytes each, little-endian, every unnamed bit zero (an entry is written whole, so that nothing of its predecessor
//! is left in reserved fields).
//!
//! Sources: AMD 48882 chapter 2.4 as Linux `iommu.c` (`build_*`) renders it, checked against VirtualBox `iommu-amd.h` (`CMD_*_T`)
//! and the checks of QEMU `amd_iommu.c`.

use super::ids::{DeviceId, DomainId, Pasid};
use super::span::Span;
use crate::address::{PhysAddr, VirtAddr};

/// The operation codes, bits 31:28 of the second doubleword.
pub mod opcode {
    #![allow(missing_docs, reason = "the names are the manual's")]
    pub const COMPLETION_WAIT: u8 = 1;
    pub const INVALIDATE_DEVTAB_ENTRY: u8 = 2;
    pub const INVALIDATE_IOMMU_PAGES: u8 = 3;
    pub const INVALIDATE_IOTLB_PAGES: u8 = 4;
    pub const INVALIDATE_INTERRUPT_TABLE: u8 = 5;
    pub const PREFETCH_IOMMU_PAGES: u8 = 6;
    pub const COMPLETE_PPR_REQUEST: u8 = 7;
    pub const INVALIDATE_IOMMU_ALL: u8 = 8;
}

/// COMPLETION_WAIT: store.
const STORE: u64 = 1 << 0;
/// COMPLETION_WAIT: interrupt.
const INTERRUPT: u64 = 1 << 1;
/// COMPLETION_WAIT: later commands do not start before it is complete.
const FLUSH: u64 = 1 << 2;
/// INVALIDATE_IOMMU_PAGES: cached directory entries as well.
const DIRECTORIES: u64 = 1 << 1;
/// The address is one of a process, and the PASID is valid.
const GUEST: u64 = 1 << 2;

/// One entry of the command buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Command([u64; 2]);

/// What a device is answered to a page request (2.4.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PageResponse {
    /// The page is there now.
    Success = 0,
    /// The request was not valid.
    Invalid = 1,
    /// The request failed; the device should not ask again.
    Failure = 15,
}

const fn guest_bit(pasid: Option<Pasid>) -> u64 {
    if pasid.is_some() { GUEST } else { 0 }
}

const fn number(pasid: Option<Pasid>) -> u64 {
    match pasid {
        Some(pasid) => pasid.raw() as u64,
        None => 0,
    }
}

/// The first word of the commands that name a device's TLB: PASID[15:8] in bits 23:16, the depth of the device's queue in bits 31:24,
/// the queue (here the device's own) in bits 47:32, PASID[7:0] in bits 55:48 and PASID[19:16] in bits 59:56.
const fn device_word(device: DeviceId, pasid: Option<Pasid>, queue_depth: u8) -> u64 {
    let pasid = number(pasid);
    device.0 as u64
        | (pasid >> 8 & 0xff) << 16
        | (queue_depth as u64) << 24
        | (device.0 as u64) << 32
        | (pasid & 0xff) << 48
        | (pasid >> 16) << 56
}

impl Command {
    const fn new(opcode: u8, w0: u64, w1: u64) -> Self {
        Self([(opcode as u64) << 60 | w0, w1])
    }

    /// An entry as it was read from a buffer.
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The two words of the entry, in memory order.
    pub const fn words(self) -> [u64; 2] {
        self.0
    }

    /// The operation code.
    pub const fn opcode(self) -> u8 {
        (self.0[0] >> 60) as u8
    }

    /// The device that the command names, bits 15:0, where its operation has one.
    pub const fn device(self) -> DeviceId {
        DeviceId(self.0[0] as u16)
    }

    /// COMPLETION_WAIT (2.4.1): stores `data` at `place` once everything before it is complete.
    ///
    /// `None` where the place is not a multiple of 8 or beyond 2^52.
    pub const fn wait_store(place: PhysAddr, data: u64) -> Option<Self> {
        if place.raw() & 7 != 0 || place.raw() >> 52 != 0 {
            return None;
        }
        Some(Self::new(
            opcode::COMPLETION_WAIT,
            STORE | place.raw(),
            data,
        ))
    }

    /// COMPLETION_WAIT (2.4.1) that tells nobody: the command without an effect of its own.
    pub const fn wait() -> Self {
        Self::new(opcode::COMPLETION_WAIT, 0, 0)
    }

    /// The same COMPLETION_WAIT, which raises an interrupt as well. Unchanged for other commands.
    pub const fn with_interrupt(self) -> Self {
        self.with_wait_bit(INTERRUPT)
    }

    /// The same COMPLETION_WAIT, before whose completion no later command starts. Unchanged for other commands.
    pub const fn with_flush(self) -> Self {
        self.with_wait_bit(FLUSH)
    }

    const fn with_wait_bit(self, bit: u64) -> Self {
        if self.opcode() != opcode::COMPLETION_WAIT {
            return self;
        }
        Self([self.0[0] | bit, self.0[1]])
    }

    /// INVALIDATE_DEVTAB_ENTRY (2.4.2): forget a device's table entry.
    pub const fn invalidate_device(device: DeviceId) -> Self {
        Self::new(opcode::INVALIDATE_DEVTAB_ENTRY, device.0 as u64, 0)
    }

    /// INVALIDATE_IOMMU_PAGES (2.4.3): forget translations of a domain, or of one of its PASIDs, directories included.
    pub const fn invalidate_pages(domain: DomainId, pasid: Option<Pasid>, span: Span) -> Self {
        Self::new(
            opcode::INVALIDATE_IOMMU_PAGES,
            number(pasid) | (domain.0 as u64) << 32,
            guest_bit(pasid) | DIRECTORIES | span.bits(),
        )
    }

    /// The INVALIDATE_IOMMU_PAGES of everything under the same tags; `None` where this one is that already.
    pub(super) fn widened(self) -> Option<Self> {
        let [w0, w1] = self.0;
        let wide = Self([w0, w1 & (GUEST | DIRECTORIES) | Span::ALL.bits()]);
        (wide != self).then_some(wide)
    }

    /// INVALIDATE_IOTLB_PAGES (2.4.4): ask a device to forget translations, for requests without or with a PASID. `queue_depth`
    /// is how many invalidations the device takes at once.
    pub const fn invalidate_device_tlb(
        device: DeviceId,
        pasid: Option<Pasid>,
        queue_depth: u8,
        span: Span,
    ) -> Self {
        Self::new(
            opcode::INVALIDATE_IOTLB_PAGES,
            device_word(device, pasid, queue_depth),
            guest_bit(pasid) | span.bits(),
        )
    }

    /// INVALIDATE_INTERRUPT_TABLE (2.4.5): forget a device's interrupt remapping entries.
    pub const fn invalidate_interrupts(device: DeviceId) -> Self {
        Self::new(opcode::INVALIDATE_INTERRUPT_TABLE, device.0 as u64, 0)
    }

    /// PREFETCH_IOMMU_PAGES (2.4.6): fetch translations of so many pages ahead. Needs EFR.PreFSup.
    pub const fn prefetch(
        device: DeviceId,
        pasid: Option<Pasid>,
        pages: u8,
        addr: VirtAddr,
    ) -> Self {
        Self::new(
            opcode::PREFETCH_IOMMU_PAGES,
            device.0 as u64 | (pages as u64) << 24 | number(pasid) << 32,
            guest_bit(pasid) | addr.raw() & !0xfff,
        )
    }

    /// COMPLETE_PPR_REQUEST (2.4.7): answer a device's page request. `None` where the tag needs more than 9 bits.
    pub const fn complete_ppr(
        device: DeviceId,
        pasid: Option<Pasid>,
        tag: u16,
        response: PageResponse,
    ) -> Option<Self> {
        if tag >> 9 != 0 {
            return None;
        }
        Some(Self::new(
            opcode::COMPLETE_PPR_REQUEST,
            device.0 as u64 | number(pasid) << 32,
            guest_bit(pasid) | (tag as u64) << 32 | (response as u64) << 44,
        ))
    }

    /// INVALIDATE_IOMMU_ALL (2.4.8): forget everything, device table entries included; device TLBs keep theirs. Needs EFR.IASup.
    pub const fn invalidate_all() -> Self {
        Self::new(opcode::INVALIDATE_IOMMU_ALL, 0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 48882 2.4.3 (figure 46): S, PDE, GN and the tags stay, the address becomes that of everything.
    #[test]
    fn a_widened_command_keeps_its_tags() {
        let span = Span::holding(0x1000, 0x1fff);
        let of_process = Command::invalidate_pages(DomainId(3), Pasid::new(0x123), span);
        let all_of_process = Command::from_words([0x3000_0003_0000_0123, 0x7fff_ffff_ffff_f007]);
        assert_eq!(of_process.widened(), Some(all_of_process));
        assert_eq!(all_of_process.widened(), None);
        let of_domain = Command::invalidate_pages(DomainId(3), None, span);
        let all_of_domain = Command::from_words([0x3000_0003_0000_0000, 0x7fff_ffff_ffff_f003]);
        assert_eq!(of_domain.widened(), Some(all_of_domain));
        assert_eq!(all_of_domain.widened(), None);
    }
}
