//! A guest that may not `tlbie`: hypervisor calls in its place.
//!
//! Sources of the arguments: PAPR, "H_RPT_INVALIDATE"; Linux' `hvcall.h` and `pseries_rpt_invalidate`.

use crate::common::*;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::arch::powerpc::hypervisor::{HypervisorError, RptInvalidate};
use tlb_shootdown::error::FlushError;
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::recorder::powerpc::RecordingHypervisor;

/// A machine with a hypervisor of its own.
fn guest(cpus: u32) -> (World, &'static RecordingHypervisor) {
    guest_with(cpus, |config| config)
}

/// The same, configured further.
fn guest_with(cpus: u32, config: fn(Config) -> Config) -> (World, &'static RecordingHypervisor) {
    let hypervisor: &'static _ = Box::leak(Box::new(RecordingHypervisor::new()));
    let config = config(Config::guest_without_tlbie(hypervisor));
    (World::new(config, POWER10, cpus), hypervisor)
}

const EVERYWHERE: RptInvalidate = RptInvalidate {
    pid: 1,
    target: 1,
    kind: 0b1110,
    page_sizes: u64::MAX,
    start: 0,
    end: u64::MAX,
};

#[test]
fn promise_03_page_is_one_call_and_no_tlbie() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    let (executed, cost) = world.flush(&space, page(0x5000));
    assert_eq!(executed, [PTESYNC]);
    let call = RptInvalidate {
        kind: 0b0010,
        page_sizes: 1,
        start: 0x5000,
        end: 0x6000,
        ..EVERYWHERE
    };
    assert_eq!(hypervisor.take(), [call]);
    assert_eq!(cost.invalidations, 1);
}

/// What this CPU alone holds it drops itself.
#[test]
fn promise_03_local_flushes_ask_nobody() {
    let (world, hypervisor) = guest(2);
    let space = alone(&world);
    let (executed, _) = world.flush(&space, page(0x5000));
    assert_eq!(
        executed,
        [PTESYNC, tlbiel(0x5000, PID_1), PTESYNC, CP_ABORT]
    );
    assert_eq!(hypervisor.take(), []);
}

/// Within one page of each larger size, walk caches included.
#[test]
fn promise_11_range_is_one_call_and_no_longer_than_it_is() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    let (_, cost) = world.flush(&space, Flush::pages(kib4(0x4020_5000, 8)));
    let call = RptInvalidate {
        kind: 0b0110,
        page_sizes: 0b1101,
        start: 0x4020_5000,
        end: 0x4020_d000,
        ..EVERYWHERE
    };
    assert_eq!(hypervisor.take(), [call]);
    assert_eq!((cost.invalidations, cost.escalations), (1, 0));
    let range = PageRange::from_len(VirtAddr::new(0x4000_0000), 4 << 21, PageSize::MIB_2).unwrap();
    world.flush(
        &space,
        Flush::pages(range).leaf_only().leaf_size(PageSize::MIB_2),
    );
    let call = RptInvalidate {
        kind: 0b0010,
        page_sizes: 0b0100,
        start: 0x4000_0000,
        end: 0x4080_0000,
        ..EVERYWHERE
    };
    assert_eq!(hypervisor.take(), [call]);
}

/// KVM steps from the start by a page's length: it would miss the second of two larger pages that the range lies in.
#[test]
fn promise_03_larger_pages_are_asked_for_where_they_begin() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    let call = |kind, page_sizes, start, end| RptInvalidate {
        kind,
        page_sizes,
        start,
        end,
        ..EVERYWHERE
    };
    let flush = |start| {
        world.flush(&space, Flush::pages(kib4(start, 2)));
        hypervisor.take()
    };
    let two_of_2m = [
        call(0b0110, 0b1001, 0x403f_f000, 0x4040_1000),
        call(0b0010, 0b0100, 0x4020_0000, 0x4060_0000),
    ];
    assert_eq!(flush(0x403f_f000), two_of_2m);
    let two_of_each = [
        call(0b0110, 0b0001, 0x3fff_f000, 0x4000_1000),
        call(0b0010, 0b0100, 0x3fe0_0000, 0x4020_0000),
        call(0b0010, 0b1000, 0, 0x8000_0000),
    ];
    assert_eq!(flush(0x3fff_f000), two_of_each);
}

#[test]
fn promise_03_space_and_long_ranges_are_everything_of_the_process() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    world.flush(&space, Flush::all());
    world.flush(&space, tables(0x5000, 34));
    assert_eq!(hypervisor.take(), [EVERYWHERE; 2]);
    world.flush(&space, leaves(0x5000, 34));
    let leaves_alone = RptInvalidate {
        kind: 0b0010,
        ..EVERYWHERE
    };
    assert_eq!(hypervisor.take(), [leaves_alone]);
}

/// Kernel mappings are those of process 0, walk caches included where tables were freed.
#[test]
fn promise_03_kernel_pages_are_one_call_for_process_0() {
    let (world, hypervisor) = guest(2);
    shared(&world);
    world.flush_kernel(Flush::pages(kib4(0xc000_0000_0000_0000, 1)));
    let kernel = RptInvalidate {
        pid: 0,
        ..EVERYWHERE
    };
    assert_eq!(hypervisor.take(), [kernel]);
}

/// PAPR: bit 1 is 64 KiB.
#[test]
fn promise_03_base_pages_of_64_kib_have_a_size_of_their_own() {
    let (world, hypervisor) = guest_with(2, Config::base_page_64k);
    let space = shared(&world);
    let page = Flush::page(VirtAddr::new(0x5_0000), PageSize::KIB_64).leaf_only();
    world.flush(&space, page);
    let call = RptInvalidate {
        kind: 0b0010,
        page_sizes: 0b0010,
        start: 0x5_0000,
        end: 0x6_0000,
        ..EVERYWHERE
    };
    assert_eq!(hypervisor.take(), [call]);
}

/// There is no call for all processes: one for each, and one for the kernel.
#[test]
fn promise_03_everything_is_one_call_for_each_process() {
    let (world, hypervisor) = guest(2);
    let [one, other] = [world.space(), world.space()];
    world.run(0, &one);
    world.run(1, &other);
    let (_, cost) = world.flush_kernel(Flush::all());
    let pids: Vec<_> = hypervisor.take().iter().map(|call| call.pid).collect();
    assert_eq!((pids, cost.invalidations), (vec![0, 1, 2], 3));
}

/// Busy: the ticket asks again until it is done.
#[test]
fn promise_05_busy_hypervisor_is_asked_again() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    hypervisor.fail_next(&[HypervisorError::Busy; 3]);
    let (_, cost) = world.flush(&space, page(0x5000));
    assert_eq!((hypervisor.take().len(), cost.invalidations), (4, 4));
}

/// Refused: everything of the process, once.
#[test]
fn promise_05_what_is_refused_is_asked_for_wider() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    hypervisor.fail_next(&[HypervisorError::Refused(-55)]);
    let (_, cost) = world.flush(&space, page(0x5000));
    assert_eq!(hypervisor.take()[1], EVERYWHERE);
    assert_eq!(cost.escalations, 1);
    // Everything includes the larger pages, which would have had a call of their own.
    hypervisor.fail_next(&[HypervisorError::Refused(-57)]);
    let (_, cost) = world.flush(&space, Flush::pages(kib4(0x403f_f000, 2)));
    assert_eq!(hypervisor.take()[1..], [EVERYWHERE]);
    assert_eq!((cost.invalidations, cost.escalations), (2, 1));
}

/// A hypervisor that never does it: the flush names every CPU, and the ticket stays.
#[test]
fn promise_04_flush_that_nobody_vouches_for_times_out() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    hypervisor.fail_next(&[HypervisorError::Refused(-2); 100]);
    let ticket = world.engine.start(&space, page(0x5000)).unwrap();
    let unfinished = ticket.wait().expect_err("the hypervisor refuses");
    assert_eq!(unfinished.error.cpus.len(), 2);
    let mut ticket = unfinished.ticket;
    // It comes round.
    hypervisor.fail_next(&[]);
    let mut polls = 0;
    while ticket.poll().is_pending() {
        polls += 1;
        assert!(polls < 100);
    }
    assert!(polls > 10);
}

#[test]
fn promise_04_refused_flush_is_an_error_of_the_waiting_form() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    hypervisor.fail_next(&[HypervisorError::Busy; 100]);
    let error = world.engine.flush_space(&space).unwrap_err();
    assert!(matches!(error, FlushError::Incomplete(incomplete) if incomplete.cpus.len() == 2));
}

/// The PID of a space whose end nobody vouches for is not given again.
#[test]
fn promise_07_pid_stays_taken_until_the_hypervisor_has_dropped_it() {
    let (world, hypervisor) = guest(2);
    let space = shared(&world);
    world.run_kernel(1);
    world.run_kernel(0);
    hypervisor.fail_next(&[HypervisorError::Refused(-2); 9]);
    let unfinished = world
        .engine
        .retire(&space)
        .unwrap()
        .wait()
        .expect_err("refused");
    let next = world.space();
    assert_eq!(world.run(0, &next), 2);
    let mut ticket = unfinished.ticket;
    assert!((0..100).any(|_| ticket.poll().is_ready()));
    world.run_kernel(0);
    world.engine.retire(&next).unwrap().wait().unwrap();
}
