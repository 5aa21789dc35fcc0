//! Commands, as Arm IHI 0070 chapter 4 reads them.

use crate::iommu::bench::Does;
use crate::iommu::port::Command;
use crate::runs::{Run, rounded};
use tlb_shootdown::flush::{Depth, Flush};

/// What commands are read against.
pub(super) struct Reader {
    /// log2 of the granule of the tables.
    pub(super) granule: u8,
    pub(super) ril: bool,
    pub(super) wide: bool,
    pub(super) el2: bool,
}

impl Reader {
    /// log2 of the sizes of leaf entries, of levels 3, 2 and 1, the contiguous groups among them.
    pub(super) fn leaf_sizes(&self) -> Vec<u8> {
        match self.granule {
            12 => vec![12, 16, 21, 25, 30],
            14 => vec![14, 21, 25, 30],
            _ => vec![16, 21, 29, 34],
        }
    }

    /// The level of leaf entries of this size.
    fn level(&self, size: u8) -> u64 {
        match (self.granule, size) {
            (12, 12 | 16) | (14, 14 | 21) | (16, 16 | 21) => 3,
            (12, 21 | 25) | (14, 25 | 30) | (16, 29 | 34) => 2,
            _ => 1,
        }
    }

    /// log2 of the bytes under an entry of this level.
    fn level_shift(&self, level: u64) -> u8 {
        self.granule + (self.granule - 3) * (3 - level as u8)
    }

    /// log2 of the smallest entry that a request may concern: a command by address drops the entry that holds the address.
    pub(super) fn entry(&self, flush: &Flush) -> u8 {
        let tlb_shootdown::address::FlushRange::Pages(pages) = flush.range() else {
            return self.granule;
        };
        let stride = pages.stride();
        let size = flush
            .known_leaf_size()
            .map_or(stride, |leaf| leaf.min(stride));
        let levels = [1, 2, 3].map(|level| self.level_shift(level));
        levels
            .into_iter()
            .find(|shift| *shift <= size.shift())
            .unwrap_or(self.granule)
    }

    pub(super) fn read(&self, [w0, w1]: Command, flush: Option<&Flush>) -> Does {
        match w0 as u8 {
            0x46 => {
                assert_ne!(w0 >> 12 & 3, 3, "CS = 3 is reserved");
                Does::Wait
            }
            0x11 | 0x21 | 0x10 | 0x20 | 0x30 => {
                assert_eq!((w0 & 0x0000_ffff_ffff_ff00, w1), (0, 0), "{w0:#x}");
                Does::Iommu(None)
            }
            opcode @ (0x12 | 0x22) => {
                assert_eq!(opcode == 0x22, self.el2);
                Does::Iommu(Some(self.by_address(w0, w1, flush)))
            }
            0x40 => self.device(w0, w1),
            _ => Does::Other,
        }
    }

    /// 4.4.1.1: NUM\[16:12\], SCALE\[25:20\]; Leaf 0, TTL\[9:8\], TG\[11:10\], VA\[63:12\].
    fn by_address(&self, w0: u64, w1: u64, flush: Option<&Flush>) -> Run {
        assert_eq!(w0 & 0x0000_ffff_fc0e_0f00, 0, "reserved bits: {w0:#x}");
        assert_eq!(w1 & 0xfe, 0, "reserved bits: {w1:#x}");
        let (num, scale) = (w0 >> 12 & 31, w0 >> 20 & 63);
        let (ttl, tg, va) = (w1 >> 8 & 3, w1 >> 10 & 3, w1 & !0xfff);
        if let Some(flush) = flush {
            assert!(
                w1 & 1 == 0 || flush.depth() == Depth::Leaf,
                "walk caches stay"
            );
        }
        if tg == 0 {
            assert_eq!((num, scale, ttl), (0, 0, 0), "TG = 0 has none of these");
            let entry = flush
                .filter(|_| !self.ril)
                .map_or(self.granule, |flush| self.entry(flush));
            let entry = if flush.is_none() && !self.ril {
                30
            } else {
                entry
            };
            return rounded((va, va), entry);
        }
        assert!(self.ril, "no range fields: {w0:#x}");
        assert_eq!(
            tg,
            u64::from(self.granule - 10) / 2,
            "TG of another granule"
        );
        assert!(
            (num, scale, ttl) != (0, 0, 0),
            "reserved: one granule without a level"
        );
        assert!(scale <= if self.wide { 39 } else { 31 });
        if ttl != 0 {
            self.check_level(ttl, va, flush);
        }
        assert_eq!(va, va >> self.granule << self.granule);
        let bytes = u128::from(num + 1) << scale << self.granule;
        let last = u128::from(va) + bytes - 1;
        (va, u64::try_from(last).expect("within the addresses"))
    }

    /// A level lets entries of the others stay, and asks for a base that is aligned to it.
    fn check_level(&self, ttl: u64, va: u64, flush: Option<&Flush>) {
        let shift = self.level_shift(ttl);
        assert_eq!(va, va >> shift << shift, "not aligned to level {ttl}");
        assert!(
            self.granule != 14 || ttl != 1 || self.wide,
            "reserved without DS"
        );
        if let Some(flush) = flush {
            let known = flush.known_leaf_size().expect("a level without knowledge");
            assert_eq!(ttl, self.level(known.shift()));
        }
    }

    /// 4.5.1: G 9, SSV 11, SSID\[31:12\], SID\[63:32\]; Size\[5:0\], Addr\[63:12\].
    fn device(&self, w0: u64, w1: u64) -> Does {
        assert_eq!(w0 & 0x700, 0, "reserved bits or global: {w0:#x}");
        assert_eq!(w1 & 0xfc0, 0, "reserved bits: {w1:#x}");
        assert_eq!(w0 >> 32, u64::from(super::STREAM));
        if w0 >> 11 & 1 == 1 {
            assert_eq!(w0 >> 12 & 0xf_ffff, u64::from(super::SUBSTREAM));
        }
        let size = (w1 & 0x3f) as u8;
        assert!(size <= 52, "reserved size {size}");
        Does::Device((size < 52).then(|| rounded((w1 & !0xfff, w1 & !0xfff), 12 + size)))
    }
}
