//! Descriptors, as the VT-d specification 6.5.2 draws them and QEMU checks them.

use super::unit::Says;
use crate::iommu::bench::Does;
use crate::iommu::port::Command;
use crate::runs::{Run, rounded};
use tlb_shootdown::flush::{Depth, Flush};

/// What descriptors are read against.
pub(super) struct Reader {
    pub(super) pasid: Option<u32>,
    pub(super) depth: Option<u8>,
    pub(super) says: Says,
}

impl Reader {
    pub(super) fn read(&self, [w0, w1]: Command, flush: Option<&Flush>) -> Does {
        assert_eq!(w0 >> 9 & 7, 0, "the upper half of the type: {w0:#x}");
        match w0 & 0xf {
            // Context and PASID caches.
            1 | 7 => Does::Other,
            2 => self.iotlb(w0, w1, flush),
            3 => self.device(w0, w1),
            5 => self.wait(w0, w1),
            6 => self.pasid_iotlb(w0, w1, flush),
            8 => self.pasid_device(w0, w1),
            // A replaced entry of a test's own, or void.
            0 => Does::Other,
            kind => panic!("type {kind}"),
        }
    }

    /// IF 4, SW 5, FN 6; both IF and SW abort QEMU.
    fn wait(&self, w0: u64, w1: u64) -> Does {
        assert_eq!(w0 & 0xffff_f180, 0, "reserved bits: {w0:#x}");
        assert_eq!(w1 & 3, 0);
        assert_ne!(w0 >> 4 & 3, 3);
        // A bare fence waits, and tells nobody.
        if w0 >> 5 & 1 == 1 {
            Does::Wait
        } else {
            Does::Other
        }
    }

    fn iotlb(&self, w0: u64, w1: u64, flush: Option<&Flush>) -> Does {
        assert_eq!(w0 & 0xffff_ffff_0000_f100, 0, "reserved bits: {w0:#x}");
        match w0 >> 4 & 3 {
            1 | 2 => {
                assert_eq!(w1, 0);
                Does::Iommu(None)
            }
            3 => {
                assert!(self.says.by_page && self.pasid.is_none());
                self.pages(w1, flush)
            }
            _ => panic!("reserved granularity: {w0:#x}"),
        }
    }

    fn pasid_iotlb(&self, w0: u64, w1: u64, flush: Option<&Flush>) -> Does {
        assert_eq!(w0 & 0xfff0_0000_0000_f1c0, 0, "reserved bits: {w0:#x}");
        let pasid = self.pasid.expect("a PASID in legacy mode");
        assert_eq!(w0 >> 32 & 0xf_ffff, pasid.into());
        match w0 >> 4 & 3 {
            2 => {
                assert_eq!(w1, 0);
                Does::Iommu(None)
            }
            3 => self.pages(w1, flush),
            _ => panic!("reserved granularity: {w0:#x}"),
        }
    }

    /// AM\[5:0\], IH 6, address\[63:12\].
    fn pages(&self, w1: u64, flush: Option<&Flush>) -> Does {
        assert_eq!(w1 & 0xf80, 0, "reserved bits: {w1:#x}");
        let (mask, address) = ((w1 & 0x3f) as u8, w1 & !0xfff);
        assert!(mask <= self.says.largest_mask, "AM {mask} beyond MAMV");
        if let Some(flush) = flush {
            assert!(
                w1 >> 6 & 1 == 0 || flush.depth() == Depth::Leaf,
                "walk caches stay"
            );
        }
        let block = rounded((address, address), 12 + mask);
        assert_eq!(block.0, address, "not aligned to AM {mask}");
        Does::Iommu(Some(block))
    }

    /// Depth\[20:16\], SID\[47:32\], PFSID\[3:0\] in 15:12, PFSID\[15:4\] in 63:52; S 0.
    fn device(&self, w0: u64, w1: u64) -> Does {
        assert_eq!(w0 & 0x000f_0000_ffe0_01f0, 0, "reserved bits: {w0:#x}");
        assert_eq!(w1 & 0xffe, 0, "reserved bits: {w1:#x}");
        self.check_device(w0 >> 32, w0 >> 16, w0);
        Does::Device(block(w1, w1 & 1 == 1))
    }

    /// Depth\[8:4\], SID\[31:16\], PASID\[51:32\], PFSID as above; S 11.
    fn pasid_device(&self, w0: u64, w1: u64) -> Does {
        assert_eq!(w1 & 0x7ff, 0, "reserved bits or global: {w1:#x}");
        assert_eq!(
            w0 >> 32 & 0xf_ffff,
            self.pasid.expect("a PASID in legacy mode").into()
        );
        self.check_device(w0 >> 16, w0 >> 4, w0);
        Does::Device(block(w1, w1 >> 11 & 1 == 1))
    }

    /// Depth 32 is coded 0, and PFSID is 0 unless ECAP.DIT says otherwise.
    fn check_device(&self, source: u64, depth: u64, w0: u64) {
        assert_eq!(source as u16, super::DEVICE);
        let told = self.depth.expect("a device without a TLB");
        assert_eq!(depth & 31, u64::from(told % 32));
        let function = if self.says.functions {
            super::FUNCTION
        } else {
            0
        };
        assert_eq!(w0 >> 12 & 0xf | w0 >> 52 << 4, function.into(), "PFSID");
    }
}

/// S = 0: a page. S = 1: the lowest zero bit z from 12 upward makes the block `2^(z + 1)` bytes.
fn block(w1: u64, is_sized: bool) -> Option<Run> {
    let address = w1 & !0xfff;
    if !is_sized {
        return Some(rounded((address, address), 12));
    }
    let zero = (address | 0xfff).trailing_ones() as u8;
    (zero < 63).then(|| rounded((address, address), zero + 1))
}
