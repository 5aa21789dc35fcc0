//! Which register bits stand for which feature: literals from AMD 48882 3.2.1 and 3.4.1 as Linux `amd_iommu_types.h` has them
//! (`IOMMU_CAP_*`, `FEATURE_*`).

use tlb_shootdown::dma::Mmio;
use tlb_shootdown::iommu::amd::features::Features;

type Flag = (&'static str, (u32, u64, u64), fn(&Features) -> bool);

/// The capability header, EFR and EFR2 with the one bit set.
const FLAGS: [Flag; 8] = [
    ("IotlbSup", (1 << 24, 0, 0), |f| f.device_tlbs),
    ("NpCache", (1 << 26, 0, 0), |f| f.caches_non_present),
    ("PPRSup", (0, 1 << 1, 0), |f| f.page_requests),
    ("GTSup", (0, 1 << 4, 0), |f| f.guest_translation),
    ("IASup", (0, 1 << 6, 0), |f| f.invalidate_all),
    ("GIOSup", (0, 1 << 48, 0), |f| f.untagged_as_zero),
    ("SNPSup", (0, 1 << 63, 0), |f| f.snp),
    ("GCR3TRPMode", (0, 0, 1 << 3), |f| f.gcr3_root_mode),
];

#[test]
fn each_bit_is_one_feature() {
    for (name, (capability, efr, efr2), _) in FLAGS {
        let alone = Features::from_registers(capability, efr, efr2);
        let without = Features::from_registers(!capability, !efr, !efr2);
        for (other, _, is_there) in FLAGS {
            assert_eq!(is_there(&alone), other == name, "{other} of {name} alone");
            assert_eq!(is_there(&without), other != name, "{other} without {name}");
        }
    }
}

/// HATS in bits 11:10, GATS in 13:12, GLXSup in 15:14 and PASmax in 36:32; values that the manual reserves count as the largest.
#[test]
fn each_field_is_one_number() {
    let numbers = |efr: u64| {
        let f = Features::from_registers(0, efr, 0);
        [f.host_levels, f.guest_levels, f.gcr3_levels, f.pasid_bits]
    };
    assert_eq!(numbers(0), [4, 4, 1, 1]);
    assert_eq!(numbers(!(0x1f << 32 | 0xfc00)), [4, 4, 1, 1]);
    assert_eq!(numbers(1 << 10), [5, 4, 1, 1]);
    assert_eq!(numbers(2 << 10), [6, 4, 1, 1]);
    assert_eq!(numbers(3 << 10), [6, 4, 1, 1]);
    assert_eq!(numbers(1 << 12), [4, 5, 1, 1]);
    assert_eq!(numbers(2 << 12), [4, 6, 1, 1]);
    assert_eq!(numbers(1 << 14), [4, 4, 2, 1]);
    assert_eq!(numbers(2 << 14), [4, 4, 3, 1]);
    assert_eq!(numbers(3 << 14), [4, 4, 3, 1]);
    assert_eq!(numbers(0xf << 32), [4, 4, 1, 16]);
    assert_eq!(numbers(0x13 << 32), [4, 4, 1, 20]);
    assert_eq!(numbers(0x1f << 32), [4, 4, 1, 20]);
}

/// A block on which nobody answers.
struct Ones;

// SAFETY: nothing is there.
unsafe impl Mmio for Ones {
    fn len(&self) -> usize {
        0x4000
    }
    fn read32(&self, _: usize) -> u32 {
        !0
    }
    fn write32(&self, _: usize, _: u32) {}
    fn read64(&self, _: usize) -> u64 {
        !0
    }
    fn write64(&self, _: usize, _: u64) {}
}

/// Bit 27 of the capability header says whether there are extended feature registers; elsewhere those offsets are reserved.
#[test]
fn extended_features_are_read_where_there_are_any() {
    let without = !(1 << 27);
    assert_eq!(
        Features::discover(&Ones, without),
        Features::from_registers(without, 0, 0)
    );
    assert_eq!(
        Features::discover(&Ones, 1 << 27),
        Features::from_registers(1 << 27, !0, !0)
    );
}
