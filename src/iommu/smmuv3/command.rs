//! Commands: 16 bytes each, little-endian, every unnamed bit zero (hardware may refuse others, IHI 0070 4.1.5).
//!
//! Every command of the non-secure queue has a constructor here, and no constructor can produce a reserved combination: where
//! operands could, it returns an `Option`. Of DPT maintenance (device permission tables) there is the form without operands:
//! the fields of CMD_DPTI_PA are drawn in the manual and confirmed by no second source.
//!
//! Sources: Arm IHI 0070 chapter 4 (section numbers at each command), checked against Linux `arm-smmu-v3.h`
//! (`CMDQ_*`) and QEMU `smmuv3-internal.h`.

use super::ids::{Asid, StreamId, SubstreamId, Vmid};
use super::span::Span;
use crate::address::{PhysAddr, VirtAddr};

/// The operation codes, bits 7:0 of the first word.
pub mod opcode {
    #![allow(missing_docs, reason = "the names are the manual's")]
    pub const PREFETCH_CONFIG: u8 = 0x01;
    pub const PREFETCH_ADDR: u8 = 0x02;
    pub const CFGI_STE: u8 = 0x03;
    pub const CFGI_STE_RANGE: u8 = 0x04;
    pub const CFGI_CD: u8 = 0x05;
    pub const CFGI_CD_ALL: u8 = 0x06;
    pub const CFGI_VMS_PIDM: u8 = 0x07;
    pub const TLBI_NH_ALL: u8 = 0x10;
    pub const TLBI_NH_ASID: u8 = 0x11;
    pub const TLBI_NH_VA: u8 = 0x12;
    pub const TLBI_NH_VAA: u8 = 0x13;
    pub const TLBI_EL2_ALL: u8 = 0x20;
    pub const TLBI_EL2_ASID: u8 = 0x21;
    pub const TLBI_EL2_VA: u8 = 0x22;
    pub const TLBI_EL2_VAA: u8 = 0x23;
    pub const TLBI_S12_VMALL: u8 = 0x28;
    pub const TLBI_S2_IPA: u8 = 0x2a;
    pub const TLBI_NSNH_ALL: u8 = 0x30;
    pub const ATC_INV: u8 = 0x40;
    pub const PRI_RESP: u8 = 0x41;
    pub const RESUME: u8 = 0x44;
    pub const STALL_TERM: u8 = 0x45;
    pub const SYNC: u8 = 0x46;
    pub const DPTI_ALL: u8 = 0x70;
}

/// One queue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Command([u64; 2]);

/// What a device is answered to a page request (4.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum PageResponse {
    /// The request failed; the device should not ask again.
    Failure = 0,
    /// The request was not valid.
    Invalid = 1,
    /// The page is there now.
    Success = 2,
}

/// What becomes of a stalled transaction (4.7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum StallAction {
    /// It ends as if it had read zeroes or written nothing.
    Terminate = 0b00,
    /// It is tried again.
    Retry = 0b01,
    /// It ends with a bus error.
    Abort = 0b10,
}

const fn stream(sid: StreamId) -> u64 {
    (sid.0 as u64) << 32
}

/// SSV, bit 11, and the substream id, bits 31:12.
const fn substream(ssid: Option<SubstreamId>) -> u64 {
    match ssid {
        Some(ssid) => 1 << 11 | (ssid.raw() as u64) << 12,
        None => 0,
    }
}

const fn vmid_bits(vmid: Vmid) -> u64 {
    (vmid.0 as u64) << 32
}

const fn asid_bits(asid: Asid) -> u64 {
    (asid.0 as u64) << 48
}

impl Command {
    const fn new(opcode: u8, w0: u64, w1: u64) -> Self {
        Self([opcode as u64 | w0, w1])
    }

    /// An entry as it was read from a ring.
    pub const fn from_words(words: [u64; 2]) -> Self {
        Self(words)
    }

    /// The two words of the entry, in memory order.
    pub const fn words(self) -> [u64; 2] {
        self.0
    }

    /// The operation code.
    pub const fn opcode(self) -> u8 {
        self.0[0] as u8
    }

    /// The stream that the command names, bits 63:32, where its operation has one.
    pub const fn stream(self) -> StreamId {
        StreamId((self.0[0] >> 32) as u32)
    }

    /// CMD_PREFETCH_CONFIG (4.2.1): fetch the configuration of a stream ahead.
    pub const fn prefetch_config(sid: StreamId, ssid: Option<SubstreamId>) -> Self {
        Self::new(opcode::PREFETCH_CONFIG, stream(sid) | substream(ssid), 0)
    }

    /// CMD_PREFETCH_ADDR (4.2.2): fetch a translation ahead. Only address bits 63:12 count.
    pub const fn prefetch_addr(sid: StreamId, ssid: Option<SubstreamId>, addr: VirtAddr) -> Self {
        Self::new(
            opcode::PREFETCH_ADDR,
            stream(sid) | substream(ssid),
            addr.raw() & !0xfff,
        )
    }

    /// CMD_CFGI_STE (4.3.1): forget a stream table entry and every context cached through it. `leaf` keeps the level-1
    /// stream descriptor.
    pub const fn cfgi_ste(sid: StreamId, leaf: bool) -> Self {
        Self::new(opcode::CFGI_STE, stream(sid), leaf as u64)
    }

    /// CMD_CFGI_STE_RANGE (4.3.2): forget `1 << log2_count` stream table entries from an aligned number on; `None` where the
    /// count is not 2 to 2^31 or the number is not aligned to it.
    pub const fn cfgi_ste_range(first: StreamId, log2_count: u8) -> Option<Self> {
        if log2_count == 0 || log2_count > 31 || first.0 & ((1 << log2_count) - 1) != 0 {
            return None;
        }
        Some(Self::new(
            opcode::CFGI_STE_RANGE,
            stream(first),
            log2_count as u64 - 1,
        ))
    }

    /// CMD_CFGI_ALL (4.3.2, the range of all streams): forget every cached configuration.
    pub const fn cfgi_all() -> Self {
        Self::new(opcode::CFGI_STE_RANGE, 0, 31)
    }

    /// CMD_CFGI_CD (4.3.3): forget one context descriptor. Contexts are cached per stream, so a shared table needs one
    /// command for each stream. `leaf` keeps the level-1 context descriptor.
    pub const fn cfgi_cd(sid: StreamId, ssid: Option<SubstreamId>, leaf: bool) -> Self {
        let number = match ssid {
            Some(ssid) => ssid.raw() as u64,
            None => 0,
        };
        Self::new(opcode::CFGI_CD, stream(sid) | number << 12, leaf as u64)
    }

    /// CMD_CFGI_CD_ALL (4.3.4): forget every context of a stream.
    pub const fn cfgi_cd_all(sid: StreamId) -> Self {
        Self::new(opcode::CFGI_CD_ALL, stream(sid), 0)
    }

    /// CMD_CFGI_VMS_PIDM (4.3.5): forget a virtual machine's partition map.
    pub const fn cfgi_vms_pidm(vmid: Vmid) -> Self {
        Self::new(opcode::CFGI_VMS_PIDM, vmid_bits(vmid), 0)
    }

    /// CMD_TLBI_NH_ALL (4.4.2): every stage 1 entry of a VMID. Illegal without stage 1.
    pub const fn tlbi_nh_all(vmid: Vmid) -> Self {
        Self::new(opcode::TLBI_NH_ALL, vmid_bits(vmid), 0)
    }

    /// CMD_TLBI_NH_ASID (4.4.2): every non-global stage 1 entry of an ASID.
    pub const fn tlbi_nh_asid(vmid: Vmid, asid: Asid) -> Self {
        Self::new(opcode::TLBI_NH_ASID, vmid_bits(vmid) | asid_bits(asid), 0)
    }

    /// CMD_TLBI_NH_VA (4.4.2): stage 1 entries of an ASID, and global ones, for these addresses.
    pub const fn tlbi_nh_va(vmid: Vmid, asid: Asid, span: Span) -> Self {
        let [w0, w1] = span.words();
        Self::new(
            opcode::TLBI_NH_VA,
            vmid_bits(vmid) | asid_bits(asid) | w0,
            w1,
        )
    }

    /// CMD_TLBI_NH_VAA (4.4.2): the same for every ASID.
    pub const fn tlbi_nh_vaa(vmid: Vmid, span: Span) -> Self {
        let [w0, w1] = span.words();
        Self::new(opcode::TLBI_NH_VAA, vmid_bits(vmid) | w0, w1)
    }

    /// CMD_TLBI_EL2_ALL (4.4.3): every EL2 entry. Illegal where IDR0.Hyp is 0.
    pub const fn tlbi_el2_all() -> Self {
        Self::new(opcode::TLBI_EL2_ALL, 0, 0)
    }

    /// CMD_TLBI_EL2_ASID (4.4.3): every non-global EL2 entry of an ASID. Meaningful with CR2.E2H.
    pub const fn tlbi_el2_asid(asid: Asid) -> Self {
        Self::new(opcode::TLBI_EL2_ASID, asid_bits(asid), 0)
    }

    /// CMD_TLBI_EL2_VA (4.4.3): EL2 entries of an ASID, and global ones, for these addresses.
    pub const fn tlbi_el2_va(asid: Asid, span: Span) -> Self {
        let [w0, w1] = span.words();
        Self::new(opcode::TLBI_EL2_VA, asid_bits(asid) | w0, w1)
    }

    /// CMD_TLBI_EL2_VAA (4.4.3): the same for every ASID.
    pub const fn tlbi_el2_vaa(span: Span) -> Self {
        let [w0, w1] = span.words();
        Self::new(opcode::TLBI_EL2_VAA, w0, w1)
    }

    /// CMD_TLBI_S12_VMALL (4.4.4): every entry of a VMID. Illegal without stage 2.
    pub const fn tlbi_s12_vmall(vmid: Vmid) -> Self {
        Self::new(opcode::TLBI_S12_VMALL, vmid_bits(vmid), 0)
    }

    /// CMD_TLBI_S2_IPA (4.4.4): stage 2 entries of these intermediate addresses. Illegal without stage 2. `None` where
    /// an address has bits above 55.
    pub const fn tlbi_s2_ipa(vmid: Vmid, span: Span) -> Option<Self> {
        let [w0, w1] = span.words();
        if w1 >> 56 != 0 {
            return None;
        }
        Some(Self::new(opcode::TLBI_S2_IPA, vmid_bits(vmid) | w0, w1))
    }

    /// CMD_TLBI_NSNH_ALL (4.4.5): every non-secure entry that is not EL2's.
    pub const fn tlbi_nsnh_all() -> Self {
        Self::new(opcode::TLBI_NSNH_ALL, 0, 0)
    }

    /// CMD_ATC_INV (4.5.1): a block in a device's own TLB. Without a substream the device drops the block for all of its
    /// substreams. Illegal where IDR0.ATS is 0.
    pub const fn atc_inv(
        sid: StreamId,
        ssid: Option<SubstreamId>,
        block: super::atc::AtcBlock,
    ) -> Self {
        Self::new(opcode::ATC_INV, stream(sid) | substream(ssid), block.word())
    }

    /// CMD_PRI_RESP (4.5.2): answers a group of page requests; `None` where the group needs more than 9 bits. Illegal where
    /// IDR0.PRI is 0.
    pub const fn pri_resp(
        sid: StreamId,
        ssid: Option<SubstreamId>,
        group: u16,
        response: PageResponse,
    ) -> Option<Self> {
        if group >= 1 << 9 {
            return None;
        }
        Some(Self::new(
            opcode::PRI_RESP,
            stream(sid) | substream(ssid),
            group as u64 | (response as u64) << 12,
        ))
    }

    /// CMD_RESUME (4.7.1): settles one stalled transaction, named by the tag in its event.
    pub const fn resume(sid: StreamId, tag: u16, action: StallAction) -> Self {
        Self::new(
            opcode::RESUME,
            stream(sid) | (action as u64) << 12,
            tag as u64,
        )
    }

    /// CMD_STALL_TERM (4.7.2): ends every stalled transaction of a stream that is configured to abort.
    pub const fn stall_term(sid: StreamId) -> Self {
        Self::new(opcode::STALL_TERM, stream(sid), 0)
    }

    /// CMD_DPTI_ALL (4.6.1): everything cached of the non-secure device permission table. Illegal where IDR3.DPT is 0.
    pub const fn dpti_all() -> Self {
        Self::new(opcode::DPTI_ALL, 0, 0)
    }

    /// CMD_SYNC (4.7.3) without a signal: its consumption is the completion of everything before it.
    pub const fn sync() -> Self {
        Self::new(opcode::SYNC, 0, 0)
    }

    /// CMD_SYNC that also sends an event to CPUs that wait in WFE.
    pub const fn sync_sev() -> Self {
        Self::new(opcode::SYNC, 2 << 12, 0)
    }

    /// CMD_SYNC that also writes `data` to the 32-bit word at `address`, as inner-shareable write-back memory; `None` where the
    /// address is 0 (which would mean "no message"), not 4-byte aligned, or beyond 56 bits.
    pub const fn sync_msi(address: PhysAddr, data: u32) -> Option<Self> {
        let address = address.raw();
        if address == 0 || address & 3 != 0 || address >> 56 != 0 {
            return None;
        }
        Some(Self::new(
            opcode::SYNC,
            1 << 12 | 0b11 << 22 | 0xf << 24 | (data as u64) << 32,
            address,
        ))
    }
}
