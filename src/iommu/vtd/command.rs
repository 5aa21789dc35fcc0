//! Descriptors of the invalidation queue: 256 bits each, or 128 where the type has no more, every unnamed bit zero (hardware stops
//! the queue at others).
//!
//! Every type has a constructor here, and no constructor can produce a reserved combination: where operands could, it returns an
//! `Option`. Note that S and the source id stand at other places in type 8 than in type 3.
//!
//! Sources: Intel VT-d architecture specification 6.5.2, as carried by Linux `drivers/iommu/intel/iommu.h` (`QI_*`), checked against
//! QEMU `intel_iommu_internal.h` (`VTD_INV_DESC_*`).

use super::ids::{DomainId, Pasid, SourceId};
use super::span::Block;
use crate::address::PhysAddr;
use crate::flush::Depth;

/// The types, bits 3:0; the further type bits 11:9 are zero in all of them.
pub mod kind {
    #![allow(missing_docs, reason = "the names are the manual's")]
    pub const CONTEXT_CACHE: u8 = 1;
    pub const IOTLB: u8 = 2;
    pub const DEVICE_TLB: u8 = 3;
    pub const INTERRUPT_ENTRY_CACHE: u8 = 4;
    pub const WAIT: u8 = 5;
    pub const PASID_IOTLB: u8 = 6;
    pub const PASID_CACHE: u8 = 7;
    pub const PASID_DEVICE_TLB: u8 = 8;
    pub const PAGE_GROUP_RESPONSE: u8 = 9;
}

/// One queue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Command([u64; 4]);

/// Which accesses an IOTLB invalidation waits for: DR and DW of type 2, where CAP.DRD and CAP.DWD offer them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Drain {
    /// Reads under way.
    pub reads: bool,
    /// Writes under way.
    pub writes: bool,
}

/// How a device's own TLB is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct DeviceTarget {
    /// The device.
    pub device: SourceId,
    /// Its physical function; 0 unless ECAP.DIT asks for it, for then the field is reserved.
    pub physical_function: SourceId,
    /// How many invalidations it takes at once (MIP); 32 and more are coded as 0.
    pub queue_depth: u8,
}

/// What a wait descriptor does when everything before it is complete, beside writing its status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct WaitOptions {
    /// FN: nothing behind it starts before it is complete.
    pub fence: bool,
    /// PD: page requests received earlier are drained. Only with ECAP.PDS.
    pub drain_page_requests: bool,
}

/// What a device is answered to a group of page requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PageResponse {
    /// The pages are there now.
    Success = 0,
    /// The request was not valid.
    Invalid = 1,
    /// The device should not ask again.
    Failure = 15,
}

const fn granularity(code: u64) -> u64 {
    code << 4
}

const fn domain(did: DomainId) -> u64 {
    (did.0 as u64) << 16
}

const fn pasid_field(pasid: Pasid) -> u64 {
    (pasid.raw() as u64) << 32
}

/// PFSID: bits 3:0 at 15:12, bits 15:4 at 63:52.
const fn physical_function(pfsid: SourceId) -> u64 {
    let raw = pfsid.0 as u64;
    (raw & 0xf) << 12 | (raw >> 4) << 52
}

/// MIP: five bits.
const fn queue_depth(depth: u8) -> u64 {
    if depth >= 32 { 0 } else { depth as u64 }
}

/// IH, bit 6: only leaf entries have changed.
const fn leaf_hint(depth: Depth) -> u64 {
    (matches!(depth, Depth::Leaf) as u64) << 6
}

impl Command {
    const fn new(kind: u8, first: u64, second: u64) -> Self {
        Self([kind as u64 | first, second, 0, 0])
    }

    /// All cached context entries (6.5.2.1, G = 1).
    pub const fn context_cache_all() -> Self {
        Self::new(kind::CONTEXT_CACHE, granularity(1), 0)
    }

    /// The cached context entries of one domain (G = 2): legacy mode. Domain 0 stands for entries that were not present.
    pub const fn context_cache_domain(did: DomainId) -> Self {
        Self::new(kind::CONTEXT_CACHE, granularity(2) | domain(did), 0)
    }

    /// The cached context entry of one device (G = 3, FM = 0), where that carries no domain: in scalable mode, and in legacy mode one that
    /// was not present. The field is 0.
    pub const fn context_cache_device(device: SourceId) -> Self {
        Self::new(
            kind::CONTEXT_CACHE,
            granularity(3) | (device.0 as u64) << 32,
            0,
        )
    }

    /// All cached PASID-table entries (6.5.2.2, G = 3).
    pub const fn pasid_cache_all() -> Self {
        Self::new(kind::PASID_CACHE, granularity(3), 0)
    }

    /// The cached PASID-table entries of one domain (G = 0).
    pub const fn pasid_cache_domain(did: DomainId) -> Self {
        Self::new(kind::PASID_CACHE, domain(did), 0)
    }

    /// The cached entries of one PASID of a domain, in every device's table (G = 1).
    pub const fn pasid_cache_pasid(did: DomainId, pasid: Pasid) -> Self {
        let operands = granularity(1) | domain(did) | pasid_field(pasid);
        Self::new(kind::PASID_CACHE, operands, 0)
    }

    /// The whole IOTLB with its paging-structure caches, every PASID's included (6.5.2.3, G = 1).
    pub const fn iotlb_all(drain: Drain) -> Self {
        Self::new(kind::IOTLB, granularity(1) | drain_bits(drain), 0)
    }

    /// What the IOTLB and paging-structure caches hold of one domain (G = 2).
    pub const fn iotlb_domain(did: DomainId, drain: Drain) -> Self {
        let operands = granularity(2) | domain(did) | drain_bits(drain);
        Self::new(kind::IOTLB, operands, 0)
    }

    /// Pages of one domain's second stage (G = 3). `None` for a block larger than CAP.MAMV allows.
    pub const fn iotlb_pages(
        did: DomainId,
        block: Block,
        depth: Depth,
        drain: Drain,
        largest_mask: u8,
    ) -> Option<Self> {
        if block.address_mask() > largest_mask {
            return None;
        }
        let operands = granularity(3) | domain(did) | drain_bits(drain);
        let address = block.iotlb_word() | leaf_hint(depth);
        Some(Self::new(kind::IOTLB, operands, address))
    }

    /// Everything that the IOTLB and paging-structure caches hold of one PASID (6.5.2.4, G = 2).
    pub const fn pasid_iotlb_all(did: DomainId, pasid: Pasid) -> Self {
        let operands = granularity(2) | domain(did) | pasid_field(pasid);
        Self::new(kind::PASID_IOTLB, operands, 0)
    }

    /// Pages of one PASID (G = 3). `None` for a block larger than CAP.MAMV allows.
    pub const fn pasid_iotlb_pages(
        did: DomainId,
        pasid: Pasid,
        block: Block,
        depth: Depth,
        largest_mask: u8,
    ) -> Option<Self> {
        if block.address_mask() > largest_mask {
            return None;
        }
        let operands = granularity(3) | domain(did) | pasid_field(pasid);
        let address = block.iotlb_word() | leaf_hint(depth);
        Some(Self::new(kind::PASID_IOTLB, operands, address))
    }

    /// A block in a device's TLB, for its requests without PASID (6.5.2.5).
    pub const fn device_tlb(target: DeviceTarget, block: Block) -> Self {
        let (address, sized) = block.device_word();
        let operands = queue_depth(target.queue_depth) << 16
            | (target.device.0 as u64) << 32
            | physical_function(target.physical_function);
        Self::new(kind::DEVICE_TLB, operands, address | sized as u64)
    }

    /// A block in a device's TLB, for one of its PASIDs (6.5.2.6).
    pub const fn pasid_device_tlb(target: DeviceTarget, pasid: Pasid, block: Block) -> Self {
        let (address, sized) = block.device_word();
        let operands = queue_depth(target.queue_depth) << 4
            | (target.device.0 as u64) << 16
            | pasid_field(pasid)
            | physical_function(target.physical_function);
        let address = address | (sized as u64) << 11;
        Self::new(kind::PASID_DEVICE_TLB, operands, address)
    }

    /// All cached interrupt-remapping entries (6.5.2.7, G = 0).
    pub const fn interrupt_entries_all() -> Self {
        Self::new(kind::INTERRUPT_ENTRY_CACHE, 0, 0)
    }

    /// `1 << mask` interrupt-remapping entries from `index` on (G = 1). `None` for a mask that takes more than 5 bits.
    pub const fn interrupt_entries(index: u16, mask: u8) -> Option<Self> {
        if mask >= 32 {
            return None;
        }
        let operands = 1 << 4 | (mask as u64) << 27 | (index as u64) << 32;
        Some(Self::new(kind::INTERRUPT_ENTRY_CACHE, operands, 0))
    }

    /// Writes `data` to `status` when everything before it is complete (6.5.2.8, SW = 1). `None` where the address is not aligned to
    /// 4 bytes.
    pub const fn wait_status(status: PhysAddr, data: u32, options: WaitOptions) -> Option<Self> {
        if status.raw() & 3 != 0 {
            return None;
        }
        let operands = 1 << 5 | (data as u64) << 32 | wait_bits(options);
        Some(Self::new(kind::WAIT, operands, status.raw()))
    }

    /// Raises the completion interrupt when everything before it is complete (IF = 1). Never together with a status write.
    pub const fn wait_interrupt(options: WaitOptions) -> Self {
        Self::new(kind::WAIT, 1 << 4 | wait_bits(options), 0)
    }

    /// Holds back what follows, and signals nothing (7.10). Legal, and refused by QEMU up to 10: the driver does not use it.
    pub const fn wait_fence() -> Self {
        Self::new(kind::WAIT, 1 << 6, 0)
    }

    /// Answers a group of page requests (7.7.1). `None` where the index takes more than 9 bits.
    pub const fn page_group_response(
        device: SourceId,
        pasid: Option<Pasid>,
        group: u16,
        response: PageResponse,
    ) -> Option<Self> {
        if group >= 1 << 9 {
            return None;
        }
        let pasid = match pasid {
            Some(pasid) => 1 << 4 | pasid_field(pasid),
            None => 0,
        };
        let operands = pasid | (response as u64) << 12 | (device.0 as u64) << 16;
        Some(Self::new(
            kind::PAGE_GROUP_RESPONSE,
            operands,
            (group as u64) << 3,
        ))
    }

    /// The four words of a 256-bit queue.
    pub const fn words(self) -> [u64; 4] {
        self.0
    }

    /// The two words of a 128-bit queue; `None` for the types that know of PASIDs, which need 256 bits.
    pub const fn narrow(self) -> Option<[u64; 2]> {
        let [first, second, _, _] = self.0;
        if self.kind() < kind::PASID_IOTLB {
            Some([first, second])
        } else {
            None
        }
    }

    /// An entry as it stands in a 256-bit queue.
    pub const fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    /// The type, bits 3:0.
    pub const fn kind(self) -> u8 {
        (self.0[0] & 0xf) as u8
    }

    /// The device that a device-TLB invalidation of either form is for.
    pub const fn device(self) -> Option<SourceId> {
        match self.kind() {
            kind::DEVICE_TLB => Some(SourceId((self.0[0] >> 32) as u16)),
            kind::PASID_DEVICE_TLB => Some(SourceId((self.0[0] >> 16) as u16)),
            _ => None,
        }
    }
}

/// DW, bit 6, and DR, bit 7.
const fn drain_bits(drain: Drain) -> u64 {
    (drain.writes as u64) << 6 | (drain.reads as u64) << 7
}

/// FN, bit 6, and PD, bit 7.
const fn wait_bits(options: WaitOptions) -> u64 {
    (options.fence as u64) << 6 | (options.drain_page_requests as u64) << 7
}
