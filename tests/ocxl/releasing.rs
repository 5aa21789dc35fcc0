//! The order in which a process ends: afterwards no device acts for it.

use crate::fake::{Bench, Event, Manners, WHOLE, leaves};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::iommu::ocxl::{Config, Unfinished};
use tlb_shootdown::secondary::{Full, SecondaryTlb};

const VALID: u64 = 0x8000_0000;

fn release(bench: &Bench, key: tlb_shootdown::secondary::AttachKey) -> Result<(), Full> {
    bench.link.release(key, &mut Cost::default())
}

/// The element stays as it is until the device is done; then it is emptied, then the link forgets it, then the nest MMU.
#[test]
fn promise_10_nothing_is_taken_from_under_a_device() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().manners.insert(5, Manners::After(2));
    bench.unit.inner().firmware_busy = 1;
    for _ in 0..3 {
        assert_eq!(bench.unit.inner().element(5, 15), VALID);
        assert_eq!(release(&bench, key), Err(Full));
        if let Some(Unfinished::Termination(context)) = bench.link.unfinished(key) {
            assert_eq!(context.pasid.raw(), 5);
        }
    }
    assert_eq!(bench.unit.inner().element(5, 15), 0);
    assert!(matches!(
        bench.link.unfinished(key),
        Some(Unfinished::PeCache(_))
    ));
    assert_eq!(release(&bench, key), Ok(()));
    bench.unit.inner().stalled = true;
    let fence = bench.link.seal(&mut Cost::default());
    assert_eq!(bench.poll(fence), Poll::Pending);
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(fence, &mut Cost::default()), Ok(()));
    let expected = [
        Event::Terminate(5),
        Event::Terminated(5),
        Event::ClearPe(5),
        WHOLE,
    ];
    assert_eq!(bench.unit.take_log(), expected);
    bench.unit.assert_rules_kept();
}

/// Again, as an exit that races with a detach does it: nothing is done twice, and the second waits for the first's invalidation.
#[test]
fn promise_10_release_is_idempotent() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    assert_eq!(release(&bench, key), Ok(()));
    assert_eq!(release(&bench, key), Ok(()));
    let fence = bench.link.seal(&mut Cost::default());
    assert_eq!(bench.poll(fence), Poll::Pending);
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(fence, &mut Cost::default()), Ok(()));
    assert_eq!(bench.unit.take_log().len(), 4);
    bench.detach(key).unwrap();
    assert_eq!(release(&bench, key), Ok(()));
}

/// Flushes go on while a device takes its time, and do not wait for it: its neighbour's nor its own process's.
#[test]
fn promise_05_a_device_that_does_not_let_go_holds_up_nobody_else() {
    let bench = Bench::usual();
    let (dying, living) = (bench.attach(0x42, &[5]), bench.attach(0x43, &[6]));
    bench.unit.inner().manners.insert(5, Manners::Never);
    assert_eq!(release(&bench, dying), Err(Full));
    for key in [living, dying] {
        let (fence, mut cost) = bench.start(key, leaves(0x1000, 1));
        assert_eq!(bench.finish(fence, &mut cost), Ok(()));
    }
    assert_eq!(bench.unit.inner().element(5, 15), VALID);
    bench.unit.inner().access(5);
    bench.unit.assert_rules_kept();
}

/// One accelerator ends one context at a time: the second is asked when the first is done.
#[test]
fn two_contexts_of_one_accelerator_end_one_after_the_other() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5, 6]);
    bench.unit.inner().manners.insert(5, Manners::After(1));
    assert_eq!(release(&bench, key), Err(Full));
    assert_eq!(bench.unit.take_log(), [Event::Terminate(5)]);
    // Firmware is asked once in each call.
    assert_eq!(release(&bench, key), Err(Full));
    assert_eq!(release(&bench, key), Ok(()));
    let expected = [
        Event::Terminated(5),
        Event::ClearPe(5),
        Event::Terminate(6),
        Event::Terminated(6),
        Event::ClearPe(6),
    ];
    assert_eq!(bench.unit.take_log(), expected);
}

/// A link that snoops has the process flushed by the CPUs, behind the last access of its last device.
#[test]
fn promise_10_the_cpus_flush_for_a_link_that_snoops() {
    let bench = Bench::snooping(Config::power9());
    let key = bench.attach(0x42, &[5, 6]);
    bench.unit.inner().manners.insert(6, Manners::After(3));
    bench.unit.inner().nest.insert((0x42, 0x1000, 0), 1);
    for _ in 0..3 {
        assert_eq!(release(&bench, key), Err(Full));
    }
    assert_eq!(bench.unit.inner().nest.len(), 1);
    assert_eq!(release(&bench, key), Ok(()));
    assert_eq!(bench.unit.inner().nest.len(), 0);
    assert_eq!(
        bench.unit.take_log().last(),
        Some(&Event::FlushProcess(0x42))
    );
    let fence = bench.link.seal(&mut Cost::default());
    assert_eq!(bench.poll(fence), Poll::Ready(Ok(())));
    bench.detach(key).unwrap();
    assert_eq!(bench.unit.take_log(), []);
    bench.unit.assert_rules_kept();
}

/// Nothing was ever valid: nothing is to be done.
#[test]
fn a_process_that_was_never_installed_ends_at_once() {
    for bench in [Bench::usual(), Bench::snooping(Config::power9())] {
        let key = bench.reserve(0x42, &[5]).unwrap();
        assert_eq!(release(&bench, key), Ok(()));
        bench.detach(key).unwrap();
        assert_eq!(bench.unit.take_log(), []);
        bench.attach(0x42, &[5]);
    }
}
