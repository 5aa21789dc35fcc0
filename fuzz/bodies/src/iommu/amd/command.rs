//! Commands, as AMD 48882 2.4 draws them.

use crate::iommu::bench::Does;
use crate::iommu::port::Command;
use crate::runs::{Run, rounded};
use tlb_shootdown::flush::Flush;

/// What commands are read against.
pub(super) struct Reader {
    pub(super) pasid: Option<u32>,
    pub(super) ats: Option<u8>,
}

impl Reader {
    pub(super) fn read(&self, [w0, w1]: Command, _: Option<&Flush>) -> Does {
        match w0 >> 60 {
            1 => {
                assert_eq!(w0 & 0x0ff0_0000_0000_0000, 0, "reserved bits: {w0:#x}");
                Does::Wait
            }
            3 => self.pages(w0, w1),
            4 => self.device(w0, w1),
            8 => {
                assert_eq!((w0 << 4, w1), (0, 0));
                Does::Iommu(None)
            }
            _ => Does::Other,
        }
    }

    /// INVALIDATE_IOMMU_PAGES: PASID\[19:0\], domain\[47:32\]; S 0, PDE 1, GN 2, address\[63:12\].
    fn pages(&self, w0: u64, w1: u64) -> Does {
        assert_eq!(w0 & 0x0fff_0000_fff0_0000, 0, "reserved bits: {w0:#x}");
        assert_eq!(w1 & 0xff8, 0, "reserved bits: {w1:#x}");
        assert_eq!(w1 >> 1 & 1, 1, "PDE: nobody has said that tables stay");
        assert_eq!(w1 >> 2 & 1 == 1, self.pasid.is_some(), "GN");
        assert_eq!(w0 & 0xf_ffff, self.pasid.unwrap_or(0).into());
        Does::Iommu(block(w1))
    }

    /// INVALIDATE_IOTLB_PAGES: device\[15:0\], PASID\[15:8\] in 23:16, depth\[31:24\], queue\[47:32\], PASID\[7:0\] in 55:48, PASID\[19:16\] in
    /// 59:56; S 0, GN 2, type\[5:4\], address\[63:12\].
    fn device(&self, w0: u64, w1: u64) -> Does {
        assert_eq!(w1 & 0xffa, 0, "reserved bits: {w1:#x}");
        assert_eq!(w0 & 0xffff, super::DEVICE.into());
        assert_eq!(
            w0 >> 24 & 0xff,
            self.ats.expect("a device without a TLB").into()
        );
        let pasid = w0 >> 48 & 0xff | (w0 >> 16 & 0xff) << 8 | (w0 >> 56 & 0xf) << 16;
        assert_eq!(pasid, self.pasid.unwrap_or(0).into());
        assert_eq!(w1 >> 2 & 1 == 1, self.pasid.is_some(), "GN");
        Does::Device(block(w1))
    }
}

/// S = 0: a page. S = 1: the lowest zero bit z from 12 upward makes the block `2^(z + 1)` bytes.
fn block(w1: u64) -> Option<Run> {
    let address = w1 & !0xfff;
    if w1 & 1 == 0 {
        return Some(rounded((address, address), 12));
    }
    let zero = (address | 0xfff).trailing_ones() as u8;
    // Addresses are sign-extended: a block of half of them or more is everything.
    (zero < 62).then(|| rounded((address, address), zero + 1))
}
