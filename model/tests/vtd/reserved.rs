//! Every reserved bit, granularity and width of every descriptor stops the queue at it.

use crate::rig::{IQE, PAGE, Rig};
use tlb_shootdown_model::vtd::{DeviceOptions, VtdOptions};

/// Reserved bits of the first two words by type, with a legal descriptor: no PFSID, page drain there.
const RESERVED: [((u64, u64), u64, u64); 9] = [
    ((0x11, 0), 0xfffc_0000_0000_f1c0, !0),
    ((0x12, 0), 0xffff_ffff_0000_f100, 0xf80),
    ((0x0208_0000_0003, PAGE), 0xffff_0000_ffe0_f1f0, 0xffe),
    ((0x14, 0), 0xffff_0000_07ff_f1e0, !0),
    ((0x45, 0), 0xffff_f100, 0x3),
    ((0x26, 0), 0xfff0_0000_0000_f1c0, 0xf80),
    ((0x37, 0), 0xfff0_0000_0000_f1c0, !0),
    ((0x0208_0008, PAGE), 0xfff0_0000_0000_f000, 0x7fe),
    ((0x09, 0), 0xfff0_0000_0000_01e0, 0xffff_ffff_ffff_f003),
];

/// Runs one descriptor, and says why the queue stopped; 0 where it did not.
fn stops(rig: &mut Rig, words: [u64; 4]) -> u64 {
    let before = rig.head();
    rig.put_descriptor(words);
    rig.doorbell();
    rig.unit.settle();
    if rig.errors() == 0 {
        assert_ne!(rig.head(), before);
        return 0;
    }
    assert_eq!(rig.errors(), IQE);
    assert_eq!(rig.head(), before, "the head points at the descriptor");
    rig.reason()
}

fn alone(words: [u64; 4]) -> u64 {
    stops(&mut Rig::plain(), words)
}

#[test]
fn every_reserved_bit_is_an_error() {
    for ((w0, w1), reserved0, reserved1) in RESERVED {
        assert_eq!(alone([w0, w1, 0, 0]), 0, "{w0:#x}");
        for bit in (0..64).filter(|bit| reserved0 >> bit & 1 != 0) {
            assert_eq!(alone([w0 ^ 1 << bit, w1, 0, 0]), 4, "{w0:#x} bit {bit}");
        }
        for bit in (0..64).filter(|bit| reserved1 >> bit & 1 != 0) {
            assert_eq!(
                alone([w0, w1 ^ 1 << bit, 0, 0]),
                4,
                "{w0:#x} bit {bit} of word 1"
            );
        }
        // The upper half of a page response is the device's own.
        let expected = if w0 == 0x09 { 0 } else { 4 };
        assert_eq!(alone([w0, w1, 1 << 40, 0]), expected, "{w0:#x}");
        assert_eq!(alone([w0, w1, 0, 1]), expected, "{w0:#x}");
    }
}

#[test]
fn types_that_do_not_exist_are_invalid() {
    for kind in [0, 0xa, 0xf, 0x200 | 6, 0x800 | 1] {
        assert_eq!(alone([kind, 0, 0, 0]), 3, "type {kind:#x}");
    }
}

#[test]
fn granularities_that_do_not_exist_are_reserved() {
    for w0 in [0x01, 0x02, 0x06, 0x16, 0x27] {
        assert_eq!(alone([w0, 0, 0, 0]), 4, "{w0:#x}");
    }
}

#[test]
fn what_knows_of_pasids_is_too_wide_for_a_narrow_queue() {
    for (w0, w1) in [(0x26, 0), (0x37, 0), (0x0208_0008, PAGE), (0x09, 0)] {
        assert_eq!(stops(&mut Rig::narrow(), [w0, w1, 0, 0]), 5, "{w0:#x}");
    }
    let mut rig = Rig::narrow();
    for w0 in [0x11, 0x12, 0x0208_0000_0003, 0x14, 0x45] {
        assert_eq!(stops(&mut rig, [w0, 0, 0, 0]), 0, "{w0:#x}");
    }
}

#[test]
fn options_decide_about_the_physical_function_and_the_page_drain() {
    let with = |throttles, page_drain| {
        let options = VtdOptions {
            throttles,
            page_drain,
            ..VtdOptions::default()
        };
        Rig::new(options, DeviceOptions::default())
    };
    for (w0, w1) in [(0x0208_0000_0003, PAGE), (0x0208_0008, PAGE)] {
        for pfsid in [0xf << 12, 0xfff << 52] {
            let words = [w0 | pfsid, w1, 0, 0];
            assert_eq!(stops(&mut with(true, true), words), 0);
            assert_eq!(stops(&mut with(false, true), words), 4);
        }
    }
    assert_eq!(stops(&mut with(false, true), [0xc5, 0, 0, 0]), 0);
    assert_eq!(stops(&mut with(false, false), [0xc5, 0, 0, 0]), 4);
}

#[test]
fn a_wait_has_one_way_of_telling_or_is_a_bare_fence() {
    // Status and interrupt exclude each other.
    assert_eq!(alone([0x35, 0x8000_0000, 0, 0]), 4);
    let options = VtdOptions {
        bare_fences: false,
        ..VtdOptions::default()
    };
    let mut rig = Rig::new(options, DeviceOptions::default());
    assert_eq!(stops(&mut rig, [0x45, 0, 0, 0]), 4);
}

#[test]
fn masks_have_a_limit() {
    let with = |bounds_pasid_masks| {
        let options = VtdOptions {
            mamv: 9,
            bounds_pasid_masks,
            ..VtdOptions::default()
        };
        Rig::new(options, DeviceOptions::default())
    };
    for (w0, bounds, am, expected) in [
        (0x32, true, 9, 0),
        (0x32, false, 10, 4),
        (0x36, true, 9, 0),
        (0x36, true, 10, 4),
        (0x36, false, 35, 0),
    ] {
        let mut rig = with(bounds);
        assert_eq!(stops(&mut rig, [w0, am, 0, 0]), expected, "{w0:#x} {am}");
    }
}

#[test]
fn without_device_tlbs_their_descriptors_do_not_exist() {
    let options = VtdOptions {
        device_tlbs: false,
        ..VtdOptions::default()
    };
    for (w0, w1) in [(0x0208_0000_0003, PAGE), (0x0208_0008, PAGE)] {
        let mut rig = Rig::new(options, DeviceOptions::default());
        assert_eq!(stops(&mut rig, [w0, w1, 0, 0]), 3);
    }
}
