//! IQE, ITE and ICE, and how the queue goes on after them.

use crate::rig::{
    DEVICE_INV, FSTS, ICE, IQE, IQER, IQT, ITE, PAGE, PAGE_INV, QUEUE, Rig, SID, ats,
};
use tlb_shootdown::dma::{DmaBarriers, Mmio};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::vtd::{DeviceFault, DeviceOptions, VtdOptions};

const INVALID: (u64, u64) = (0xf, 0);

#[test]
fn an_invalid_descriptor_stops_the_queue_at_it_and_what_was_before_goes_on() {
    let mut rig = Rig::plain();
    rig.upgrade();
    let (first, second) = (rig.wait(1), rig.wait(2));
    rig.run(&[PAGE_INV, first, INVALID, second]);
    assert_eq!((rig.head(), rig.errors(), rig.reason()), (2, IQE, 3));
    assert_eq!(rig.status(), 1);
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    // Nothing moves before it is cleared, whatever the tail says.
    rig.doorbell();
    rig.unit.settle();
    assert_eq!((rig.head(), rig.status()), (2, 1));
    // Repaired in its place.
    rig.model.poke(rig.queue.phys().raw() + 2 * 32, 0x45);
    rig.clear(IQE);
    rig.unit.settle();
    assert_eq!((rig.head(), rig.errors(), rig.reason()), (4, 0, 0));
    assert_eq!(rig.status(), 2);
}

#[test]
fn an_emulator_fetches_on_with_the_next_tail_alone() {
    let options = VtdOptions {
        resumes_on_clear: false,
        ..VtdOptions::default()
    };
    let mut rig = Rig::new(options, DeviceOptions::default());
    let wait = rig.wait(2);
    rig.run(&[INVALID, wait]);
    rig.model.poke(rig.queue.phys().raw(), 0x45);
    rig.clear(IQE);
    rig.unit.settle();
    assert_eq!((rig.head(), rig.status()), (0, 0));
    rig.doorbell();
    rig.unit.settle();
    assert_eq!((rig.head(), rig.status()), (2, 2));
}

#[test]
fn a_descriptor_that_was_not_repaired_stops_the_queue_again() {
    let mut rig = Rig::plain();
    rig.run(&[INVALID]);
    rig.clear(IQE);
    rig.unit.settle();
    assert_eq!((rig.head(), rig.errors()), (0, IQE));
}

#[test]
fn the_tail_lies_at_an_entry_of_the_queue() {
    for (tail, reason) in [(QUEUE, 1), (0x7_fff0, 1), (0x10, 6), (0x30, 6)] {
        let rig = Rig::plain();
        rig.unit.write32(IQT, tail);
        rig.unit.settle();
        assert_eq!((rig.errors(), rig.reason()), (IQE, reason), "{tail:#x}");
        // A right one, and then the error away.
        rig.doorbell();
        rig.clear(IQE);
        rig.unit.settle();
        assert_eq!(rig.errors(), 0);
    }
    let rig = Rig::narrow();
    rig.barriers.before_doorbell();
    rig.model.poke(rig.queue.phys().raw(), 0x45);
    rig.unit.write32(IQT, 0x10);
    rig.unit.settle();
    assert_eq!((rig.errors(), rig.head()), (0, 1));
}

#[test]
fn a_failing_fetch_and_an_injected_error_hit_the_next_that_is_no_wait() {
    for (inject, reason) in [
        (
            tlb_shootdown_model::vtd::VtdPort::abort_next_fetch as fn(&_),
            2,
        ),
        (tlb_shootdown_model::vtd::VtdPort::refuse_next as fn(&_), 4),
    ] {
        let mut rig = Rig::plain();
        rig.upgrade();
        inject(&rig.unit);
        let wait = rig.wait(1);
        rig.run(&[wait, PAGE_INV, wait]);
        assert_eq!((rig.head(), rig.errors(), rig.reason()), (1, IQE, reason));
        rig.clear(IQE);
        rig.unit.settle();
        assert_eq!((rig.head(), rig.errors()), (3, 0));
        assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    }
}

#[test]
fn a_silent_device_aborts_every_wait_that_was_fetched() {
    let mut rig = Rig::with_ats();
    rig.upgrade();
    rig.device.set_silent(true);
    let wait = rig.wait(1);
    rig.run(&[PAGE_INV, DEVICE_INV, wait, wait]);
    assert_eq!((rig.head(), rig.errors()), (4, ITE));
    assert_eq!(rig.unit.read64(IQER) >> 32 & 0xffff, u64::from(SID));
    assert_eq!(rig.status(), 0);
    // Nothing is fetched before it is cleared.
    let second = rig.wait(2);
    rig.run(&[second]);
    assert_eq!((rig.head(), rig.status()), (4, 0));
    rig.clear(ITE);
    rig.unit.settle();
    // The wait completes, and proves nothing about the device.
    assert_eq!((rig.head(), rig.errors(), rig.status()), (5, 0, 2));
    assert_eq!(rig.device.write(PAGE, 1), Err(DeviceFault::Permission));
    rig.device.set_silent(false);
    rig.complete(&[DEVICE_INV]);
    rig.returned();
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
    rig.assert_clean();
}

#[test]
fn a_device_that_answers_in_time_is_no_error() {
    let mut rig = Rig::with_ats();
    rig.upgrade();
    rig.device.set_silent(true);
    let wait = rig.wait(1);
    rig.ring(&[PAGE_INV, DEVICE_INV, wait]);
    for _ in 0..6 {
        rig.unit.step();
    }
    rig.device.set_silent(false);
    rig.unit.settle();
    assert_eq!((rig.errors(), rig.status()), (0, 1));
    assert_eq!(rig.device.write(PAGE, 1), Ok(()));
}

#[test]
fn a_device_that_is_gone_times_out_as_well() {
    let mut rig = Rig::plain();
    let wait = rig.wait(1);
    rig.run(&[(0x0000_0123_0310_0008, PAGE), wait]);
    assert_eq!(rig.errors(), ITE);
    assert_eq!(rig.unit.read64(IQER) >> 32 & 0xffff, 0x0310);
}

#[test]
fn silent_devices_time_out_one_after_the_other() {
    for seed in 1..20 {
        let options = VtdOptions::default();
        let mut rig = Rig::with_temper(options, ats(), Temper::Seeded(seed));
        let other = rig.unit.add_device(0x0210, ats());
        for device in [&rig.device, &other] {
            device.set_silent(true);
        }
        let wait = rig.wait(1);
        rig.run(&[DEVICE_INV, (0x0000_0123_0210_0008, PAGE), wait]);
        assert_eq!((rig.errors(), rig.status()), (ITE, 0));
        let first = rig.unit.read64(IQER) >> 32 & 0xffff;
        rig.clear(ITE);
        rig.run(&[wait]);
        assert_eq!((rig.errors(), rig.status()), (ITE, 0));
        let second = rig.unit.read64(IQER) >> 32 & 0xffff;
        assert_eq!(first + second, 0x0208 + 0x0210);
        rig.clear(ITE);
        rig.run(&[wait]);
        assert_eq!((rig.errors(), rig.status()), (0, 1));
    }
}

#[test]
fn a_completion_error_is_shown_and_stops_nothing() {
    let mut rig = Rig::plain();
    rig.unit.raise_completion_error(0x0310);
    assert_eq!(rig.errors(), ICE);
    assert_eq!(rig.unit.read64(IQER) >> 48, 0x0310);
    rig.complete(&[PAGE_INV]);
    rig.clear(ICE);
    assert_eq!(rig.unit.read32(FSTS) & ICE, 0);
}
