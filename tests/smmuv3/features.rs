//! Which register bits stand for which feature: literals from Arm IHI 0070 6.3.1 to 6.3.6 as Linux `arm-smmu-v3.h` has them (`IDR*_*`).

use tlb_shootdown::iommu::smmuv3::features::Features;
use tlb_shootdown::iommu::smmuv3::span::RangeFields;

fn features(idr0: u32, idr1: u32, idr3: u32, idr5: u32) -> Features {
    Features::from_registers(idr0, idr1, idr3, idr5, 0)
}

type Flag = (&'static str, [u32; 4], fn(&Features) -> bool);

/// IDR0, IDR1, IDR3 and IDR5 with the one bit set.
const FLAGS: [Flag; 11] = [
    ("S1P", [1 << 1, 0, 0, 0], |f| f.stage_1),
    ("TTF", [1 << 3, 0, 0, 0], |f| f.aarch64_tables),
    ("COHACC", [1 << 4, 0, 0, 0], |f| f.coherent),
    ("BTM", [1 << 5, 0, 0, 0], |f| f.broadcast),
    ("Hyp", [1 << 9, 0, 0, 0], |f| f.el2),
    ("ATS", [1 << 10, 0, 0, 0], |f| f.ats),
    ("ASID16", [1 << 12, 0, 0, 0], |f| f.asid16),
    ("MSI", [1 << 13, 0, 0, 0], |f| f.msi),
    ("SEV", [1 << 14, 0, 0, 0], |f| f.sev),
    ("ATTR_TYPES_OVR", [0, 1 << 27, 0, 0], |f| {
        f.attribute_override
    }),
    ("RIL", [0, 0, 1 << 10, 0], |f| f.ranges.is_some()),
];

#[test]
fn each_bit_is_one_feature() {
    for (name, [idr0, idr1, idr3, idr5], _) in FLAGS {
        let alone = features(idr0, idr1, idr3, idr5);
        let without = features(!idr0, !idr1, !idr3, !idr5);
        for (other, _, is_there) in FLAGS {
            assert_eq!(is_there(&alone), other == name, "{other} of {name} alone");
            assert_eq!(is_there(&without), other != name, "{other} without {name}");
        }
    }
}

/// IDR0.HTTU in bits 7:6 and IDR0.STALL_MODEL in 25:24: values, each with the access flag, the dirty state and optional stalls.
#[test]
fn codes_of_two_bits() {
    let codes = |idr0: u32| {
        let f = features(idr0, 0, 0, 0);
        (f.access_flag, f.dirty_state, f.optional_stalls)
    };
    assert_eq!(codes(0), (false, false, true));
    assert_eq!(codes(1 << 6), (true, false, true));
    assert_eq!(codes(2 << 6), (true, true, true));
    assert_eq!(codes(3 << 6), (false, false, true), "reserved");
    assert_eq!(codes(1 << 24), (false, false, false), "never stalls");
    assert_eq!(codes(2 << 24), (false, false, false), "always stalls");
    assert_eq!(codes(!(3 << 24 | 3 << 6)), (false, false, true));
}

/// IDR1: SIDSIZE in bits 5:0, SSIDSIZE in 10:6, EVENTQS in 20:16 and CMDQS in 25:21, none larger than the manual allows.
#[test]
fn sizes() {
    let sizes = |idr1: u32| {
        let f = features(0, idr1, 0, 0);
        [
            f.stream_bits,
            f.substream_bits,
            f.event_queue_bits,
            f.command_queue_bits,
        ]
    };
    assert_eq!(sizes(0), [0; 4]);
    assert_eq!(sizes(!(0x3ff << 16 | 0x7ff)), [0; 4]);
    assert_eq!(sizes(16), [16, 0, 0, 0]);
    assert_eq!(sizes(0x3f), [32, 0, 0, 0]);
    assert_eq!(sizes(16 << 6), [0, 16, 0, 0]);
    assert_eq!(sizes(0x1f << 6), [0, 20, 0, 0]);
    assert_eq!(sizes(7 << 16), [0, 0, 7, 0]);
    assert_eq!(sizes(0x1f << 16), [0, 0, 19, 0]);
    assert_eq!(sizes(8 << 21), [0, 0, 0, 8]);
    assert_eq!(sizes(0x1f << 21), [0, 0, 0, 19]);
}

/// IDR5: OAS in bits 2:0, the granules in 6:4, DS (wide range fields) in 7.
#[test]
fn addresses_and_granules() {
    let bits = [32, 36, 40, 42, 44, 48, 52, 56];
    for (code, bits) in (0u32..).zip(bits) {
        assert_eq!(features(0, 0, 0, code).output_bits, bits);
        assert_eq!(features(0, 0, 0, !7 | code).output_bits, bits);
    }
    assert_eq!(features(0, 0, 0, 0b101 << 4).granules, 0b101);
    assert_eq!(features(0, 0, 0, 0b010 << 4).granules, 0b010);
    assert_eq!(features(0, 0, 0, !(0b111 << 4)).granules, 0);
    assert_eq!(
        features(0, 0, 1 << 10, !(1 << 7)).ranges,
        Some(RangeFields::Narrow)
    );
    assert_eq!(
        features(0, 0, 1 << 10, 1 << 7).ranges,
        Some(RangeFields::Wide)
    );
}
