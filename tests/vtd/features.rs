//! Which register bits stand for which feature: literals from VT-d 11.4.2 and 11.4.3 as Linux `intel-iommu.h` has them (`cap_*`, `ecap_*`).

use tlb_shootdown::iommu::vtd::features::Features;

type Flag = (&'static str, (u64, u64), fn(&Features) -> bool);

/// CAP and ECAP with the one bit set.
const FLAGS: [Flag; 18] = [
    ("RWBF", (1 << 4, 0), |f| f.write_buffer),
    ("CM", (1 << 7, 0), |f| f.caching_mode),
    ("PSI", (1 << 39, 0), |f| f.page_selective),
    ("DWD", (1 << 54, 0), |f| f.drain.writes),
    ("DRD", (1 << 55, 0), |f| f.drain.reads),
    ("FL1GP", (1 << 56, 0), |f| f.gigabyte_pages),
    ("FL5LP", (1 << 60, 0), |f| f.five_levels),
    ("C", (0, 1 << 0), |f| f.coherent),
    ("QI", (0, 1 << 1), |f| f.queued_invalidation),
    ("DT", (0, 1 << 2), |f| f.device_tlbs),
    ("PRS", (0, 1 << 29), |f| f.page_requests),
    ("PASID", (0, 1 << 40), |f| f.pasids),
    ("DIT", (0, 1 << 41), |f| f.physical_functions),
    ("PDS", (0, 1 << 42), |f| f.page_request_drain),
    ("SMTS", (0, 1 << 43), |f| f.scalable),
    ("FLTS", (0, 1 << 47), |f| f.first_stage),
    ("SMPWC", (0, 1 << 48), |f| f.coherent_walks),
    // Four levels: bit 10 of CAP is one of SAGAW's.
    ("SAGAW", (1 << 10, 0), |f| f.second_stage & 0b00100 != 0),
];

#[test]
fn each_bit_is_one_feature() {
    for (name, (cap, ecap), _) in FLAGS {
        let alone = Features::from_registers(cap, ecap);
        let without = Features::from_registers(!cap, !ecap);
        for (other, _, is_there) in FLAGS {
            assert_eq!(is_there(&alone), other == name, "{other} of {name} alone");
            assert_eq!(is_there(&without), other != name, "{other} without {name}");
        }
    }
}

/// ND in bits 2:0 of CAP, SAGAW in 12:8, MAMV in 53:48 (nothing without PSI), and PSS in bits 39:35 of ECAP.
#[test]
fn each_field_is_one_number() {
    let numbers = |cap: u64, ecap: u64| {
        let f = Features::from_registers(cap, ecap);
        [f.domain_bits, f.second_stage, f.largest_mask, f.pasid_bits]
    };
    assert_eq!(numbers(0, 0), [4, 0, 0, 1]);
    let others = !(0x3f << 48 | 0x1f << 8 | 7);
    assert_eq!(numbers(others, !(0x1f << 35)), [4, 0, 0, 1]);
    assert_eq!(numbers(6, 0), [16, 0, 0, 1]);
    assert_eq!(numbers(0x0e << 8, 0), [4, 0x0e, 0, 1]);
    assert_eq!(numbers(0x1f << 8, 0), [4, 0x1f, 0, 1]);
    assert_eq!(numbers(0x12 << 48, 0), [4, 0, 0, 1]);
    assert_eq!(numbers(0x12 << 48 | 1 << 39, 0), [4, 0, 0x12, 1]);
    assert_eq!(numbers(0x3f << 48 | 1 << 39, 0), [4, 0, 0x3f, 1]);
    assert_eq!(numbers(0, 0x13 << 35), [4, 0, 0, 20]);
}
