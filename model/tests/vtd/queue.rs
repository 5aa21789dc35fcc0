//! Order, completion and the ring itself.

use crate::rig::{ENABLED, FENCE, GCMD, GSTS, IQT, PAGE, PAGE_INV, QUEUE, Rig, get, put};
use tlb_shootdown::dma::Mmio;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, VtdOptions};

#[test]
fn a_missing_wait_leaves_the_device_stale() {
    let mut rig = Rig::plain();
    rig.upgrade();
    rig.run(&[PAGE_INV]);
    // Fetched, which means nothing.
    assert_eq!(rig.head(), 1);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    let used = Violation::UsedStale {
        holder: Holder::Iommu(0),
        va: PAGE,
    };
    assert!(rig.model.violations().contains(&used));
    rig.complete(&[]);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn nothing_is_done_inside_the_write_of_the_tail() {
    for temper in [Temper::Kind, Temper::Late] {
        let options = VtdOptions::default();
        let mut rig = Rig::with_temper(options, DeviceOptions::default(), temper);
        rig.upgrade();
        let wait = rig.wait(1);
        rig.ring(&[PAGE_INV, wait]);
        assert_eq!(rig.status(), 0);
        assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    }
}

#[test]
fn a_wait_writes_four_bytes_and_only_after_everything_before_it() {
    let mut rig = Rig::plain();
    rig.upgrade();
    put(&rig.status, 0, 0xaaaa_aaaa_0000_0000);
    let wait = rig.wait(0x1234_5678);
    rig.ring(&[PAGE_INV, wait]);
    for _ in 0..20 {
        rig.unit.step();
        if rig.status() & 0xffff_ffff != 0 {
            break;
        }
    }
    // The driver's half, which no barrier has published yet, is not touched.
    assert_eq!(rig.status(), 0xaaaa_aaaa_1234_5678);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn descriptors_behind_a_plain_wait_may_overtake_it_and_behind_a_fence_not() {
    for (fence, overtakes) in [(0, true), (1 << 6, false)] {
        let mut rig = Rig::plain();
        rig.upgrade();
        let (w0, w1) = rig.wait(9);
        let other = (0x0000_0555_0001_0026, 0);
        rig.ring(&[other, (w0 | fence, w1), PAGE_INV]);
        let mut early = false;
        for _ in 0..20 {
            rig.unit.step();
            early |= rig.status() == 0 && rig.device.write(PAGE, 1).is_ok();
        }
        assert_eq!(early, overtakes);
    }
}

#[test]
fn an_interrupt_is_shown_in_ics_until_it_is_cleared() {
    let mut rig = Rig::plain();
    rig.run(&[(0x15, 0)]);
    assert_eq!(rig.unit.read32(0x9c), 1);
    rig.unit.write32(0x9c, 1);
    assert_eq!(rig.unit.read32(0x9c), 0);
}

#[test]
fn the_ring_wraps_without_a_wrap_bit() {
    let mut rig = Rig::plain();
    for turn in 1..400 {
        let status = rig.wait(turn);
        rig.run(&[PAGE_INV, status]);
        assert_eq!(rig.status(), turn);
    }
    assert_eq!(rig.head(), 399 * 2 % (QUEUE / 32));
    rig.assert_clean();
}

#[test]
fn one_entry_of_the_ring_stays_free() {
    let entries = QUEUE as usize / 32;
    for (total, expected) in [(entries - 1, false), (entries, true), (entries + 1, true)] {
        let mut rig = Rig::plain();
        rig.run(&[FENCE; 5]);
        rig.unit.freeze(true);
        rig.ring(&[FENCE; 9]);
        rig.ring(&vec![FENCE; total - 9]);
        let overrun = Violation::QueueOverrun { iommu: 0 };
        assert_eq!(
            rig.model.violations().contains(&overrun),
            expected,
            "{total}"
        );
    }
}

#[test]
fn the_base_stands_still_while_the_queue_is_running() {
    let rig = Rig::plain();
    rig.unit.write64(0x90, 0);
    let written = |register| Violation::WrittenWhileRunning { iommu: 0, register };
    assert_eq!(rig.model.violations(), [written(0x90), written(0x94)]);
    assert_ne!(rig.unit.read64(0x90), 0);
}

#[test]
fn everything_is_counted() {
    let mut rig = Rig::plain();
    rig.model.take_counts();
    let wait = rig.wait(1);
    rig.run(&[PAGE_INV, PAGE_INV, FENCE, wait]);
    let counts = rig.model.take_counts();
    assert_eq!((counts.commands, counts.syncs, counts.doorbells), (2, 2, 1));
}

#[test]
fn the_command_register_is_written_whole() {
    let mut rig = Rig::plain();
    rig.complete(&[]);
    // TE alone: the queue goes off.
    rig.unit.write32(GCMD, 1 << 31);
    rig.unit.step();
    assert_eq!(rig.unit.read32(GSTS) & ENABLED, 1 << 31);
    // The head begins anew, and so must the tail.
    rig.unit.write32(IQT, 0);
    rig.command(ENABLED, ENABLED);
    rig.unit.settle();
    assert_eq!((rig.head(), rig.errors()), (0, 0));
}

#[test]
fn the_queue_is_not_left_before_it_is_empty() {
    let mut rig = Rig::plain();
    rig.upgrade();
    let wait = rig.wait(5);
    rig.ring(&[PAGE_INV, wait]);
    rig.unit.write32(GCMD, 1 << 31);
    rig.unit.step();
    assert_eq!(rig.unit.read32(GSTS) & ENABLED, ENABLED);
    rig.unit.settle();
    rig.unit.step();
    assert_eq!(rig.status(), 5);
    assert_eq!(rig.unit.read32(GSTS) & ENABLED, 1 << 31);
}

#[test]
fn a_frozen_unit_does_nothing() {
    let mut rig = Rig::plain();
    rig.unit.freeze(true);
    let wait = rig.wait(3);
    rig.run(&[wait]);
    assert_eq!((rig.head(), rig.status()), (0, 0));
    rig.unit.freeze(false);
    rig.unit.settle();
    assert_eq!((rig.head(), get(&rig.status, 0)), (1, 3));
}

#[test]
fn every_seed_completes_what_is_waited_for() {
    for seed in 1..60 {
        let options = VtdOptions::default();
        let mut rig = Rig::with_temper(options, DeviceOptions::default(), Temper::Seeded(seed));
        for turn in 1..20 {
            let _ = rig.device.write(PAGE, 1);
            rig.upgrade();
            let wait = rig.wait(turn);
            rig.run(&[PAGE_INV, wait]);
            assert_eq!(rig.status(), turn, "seed {seed}");
            rig.returned();
            assert_eq!(rig.device.write(PAGE, 1), Ok(()), "seed {seed}");
        }
        rig.assert_clean();
    }
}
