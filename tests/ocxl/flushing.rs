//! What one shootdown launches, and when its fence is reached.

use crate::fake::{Bench, Event, WHOLE, leaves, page};
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::ocxl::Config;
use tlb_shootdown::secondary::{Fence, Invalidation, Needs, SecondaryTlb};

/// AVA, then LNCH; STAT is looked at once it has been launched, and once for each look.
#[test]
fn promise_03_one_page_is_one_launch() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let (log, cost) = bench.flush(key, leaves(0x1000, 1));
    assert_eq!(log, [page(0x1000)]);
    let counts = [cost.commands, cost.doorbells, cost.queue_barriers];
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!((cost.syncs, cost.escalations), (0, 0));
    // One when the link was made.
    assert_eq!(bench.unit.inner().stat_reads, 1 + 1);
}

/// The example of 0x1000..0x5000: four, each after the one before.
#[test]
fn promise_03_pages_are_launched_one_after_the_other() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().slow = 2;
    let (log, cost) = bench.flush(key, leaves(0x1000, 4));
    let expected = [page(0x1000), page(0x2000), page(0x3000), page(0x4000)];
    assert_eq!(log, expected);
    assert_eq!((cost.commands, cost.doorbells), (4, 4));
}

#[test]
fn every_page_size_has_its_code() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let sizes = [
        (PageSize::KIB_4, 0xc004_0000_8400_0000),
        (PageSize::KIB_64, 0xc005_4000_8400_0000),
        (PageSize::MIB_2, 0xc004_4000_8400_0000),
        (PageSize::GIB_1, 0xc004_8000_8400_0000),
    ];
    for (size, word) in sizes {
        let flush = Flush::page(VirtAddr::new(0x7f_c123_4000), size);
        let base = 0x7f_c123_4000 & !(size.bytes() - 1);
        assert_eq!(bench.flush(key, flush).0, [Event::Launch(Some(base), word)]);
    }
}

/// Never a loop over the address space.
#[test]
fn promise_11_everything_and_too_much_are_one_launch() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let (log, cost) = bench.flush(key, Flush::all());
    assert_eq!((log, cost.escalations), (vec![WHOLE], 0));
    let (log, cost) = bench.flush(key, leaves(0x1000, 8));
    assert_eq!((log.len(), cost.escalations), (8, 0));
    let (log, cost) = bench.flush(key, leaves(0x1000, 9));
    assert_eq!((log, cost.escalations), (vec![WHOLE], 1));
    let half = PageRange::new(
        VirtAddr::new(0x1000),
        VirtAddr::new(1 << 51),
        PageSize::KIB_4,
    );
    let half = Flush::pages(half.unwrap()).leaf_only();
    let (log, cost) = bench.flush(key, half.leaf_size(PageSize::KIB_4));
    assert_eq!((log, cost.escalations, cost.commands), (vec![WHOLE], 1, 1));
}

/// Far from page 0 and from the start of any larger page: taken for 64 KiB, say, none of them is the whole process for another reason.
#[test]
fn promise_11_sizes_that_radix_tables_lack_are_one_launch() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    for size in [PageSize::KIB_16, PageSize::MIB_32, PageSize::MIB_512] {
        let at = VirtAddr::new(0x7f_e765_7000);
        let (log, cost) = bench.flush(key, Flush::page(at, size));
        assert_eq!((log, cost.escalations), (vec![WHOLE], 1), "{size:?}");
        let two = PageRange::from_len(at, 2 * size.bytes(), size).unwrap();
        let (log, cost) = bench.flush(key, Flush::pages(two).leaf_only().leaf_size(size));
        assert_eq!((log, cost.escalations), (vec![WHOLE], 1), "{size:?}");
    }
}

#[test]
fn promise_11_page_zero_is_the_whole_process_or_what_the_kernel_says() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let (log, cost) = bench.flush(key, leaves(0, 2));
    assert_eq!((log, cost.escalations), (vec![WHOLE], 1));
    let bench = Bench::with(Config {
        page_zero_by_address: true,
        ..Config::power10()
    });
    let key = bench.attach(0x42, &[5]);
    let (log, cost) = bench.flush(key, leaves(0, 2));
    assert_eq!((log, cost.escalations), (vec![page(0), page(0x1000)], 0));
}

#[test]
fn promise_08_freed_tables_are_the_whole_process() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    let one = PageRange::page(VirtAddr::new(0x1000), PageSize::KIB_4);
    let (log, cost) = bench.flush(key, Flush::pages(one));
    assert_eq!((log, cost.escalations), (vec![WHOLE], 1));
}

#[test]
fn promise_03_a_fence_is_not_reached_before_its_last_launch() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    let (fence, _) = bench.start(key, leaves(0x1000, 3));
    for launched in 1..=3 {
        for _ in 0..3 {
            assert_eq!(bench.poll(fence), Poll::Pending);
        }
        assert_eq!(bench.unit.inner().log.len(), launched);
        bench.unit.inner().complete();
    }
    assert_eq!(bench.poll(fence), Poll::Ready(Ok(())));
    bench.unit.assert_rules_kept();
}

/// Nothing waits for what was queued later; what was queued earlier is waited for.
#[test]
fn promise_03_fences_are_reached_in_order() {
    let bench = Bench::usual();
    let (a, b) = (bench.attach(0x42, &[5]), bench.attach(0x43, &[6]));
    bench.unit.inner().stalled = true;
    let (first, _) = bench.start(a, leaves(0x1000, 1));
    let (second, _) = bench.start(b, leaves(0x1000, 1));
    bench.unit.inner().complete();
    assert_eq!(bench.poll(second), Poll::Pending);
    assert_eq!(bench.poll(first), Poll::Ready(Ok(())));
    bench.unit.inner().complete();
    assert_eq!(bench.poll(second), Poll::Ready(Ok(())));
}

/// The seal of one closes what another has queued: both are served whoever seals first.
#[test]
fn promise_05_a_seal_by_another_covers_mine() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.unit.inner().stalled = true;
    bench.queue(key, leaves(0x1000, 1));
    let (theirs, _) = bench.start(key, leaves(0x9000, 1));
    let mine = bench.link.seal(&mut Cost::default());
    assert_eq!(bench.poll(mine), Poll::Pending);
    bench.unit.inner().stalled = false;
    assert_eq!(bench.finish(mine, &mut Cost::default()), Ok(()));
    assert_eq!(bench.finish(theirs, &mut Cost::default()), Ok(()));
    assert_eq!(bench.unit.take_log(), [page(0x1000), page(0x9000)]);
}

/// One PID under two PASIDs of one key, and once more under a second key: one launch.
#[test]
fn one_process_under_several_pasids_is_one_launch() {
    let bench = Bench::usual();
    let first = bench.attach(0x42, &[5, 6]);
    let second = bench.attach(0x42, &[7]);
    bench.queue(first, leaves(0x1000, 1));
    let mut cost = bench.queue(second, leaves(0x1000, 1));
    let fence = bench.link.seal(&mut cost);
    assert_eq!(bench.finish(fence, &mut cost), Ok(()));
    assert_eq!(bench.unit.take_log(), [page(0x1000)]);
}

/// Links are told apart: each has its registers, and the fence of one says nothing of the other.
#[test]
fn several_links_of_one_process_are_independent() {
    let links = [Bench::usual(), Bench::usual()];
    let keys = [links[0].attach(0x42, &[5]), links[1].attach(0x42, &[5])];
    links[1].unit.inner().stalled = true;
    let (near, _) = links[0].start(keys[0], leaves(0x1000, 1));
    let (far, _) = links[1].start(keys[1], leaves(0x1000, 1));
    assert_eq!(links[0].poll(near), Poll::Ready(Ok(())));
    assert_eq!(links[1].poll(far), Poll::Pending);
    assert_eq!(links[1].unit.take_log(), [page(0x1000)]);
}

/// The nest MMU hears the CPUs: nothing is queued, and every fence is ready.
#[test]
fn a_link_that_snoops_has_nothing_to_send() {
    let bench = Bench::snooping(Config::power9());
    let key = bench.attach(0x42, &[5]);
    let (fence, cost) = bench.start(key, leaves(0, 100));
    assert_eq!(cost, Cost::ZERO);
    assert_eq!(bench.poll(fence), Poll::Ready(Ok(())));
    assert_eq!(bench.unit.take_log(), []);
}

#[test]
fn promise_09_upgrades_are_told_and_broken_up_where_they_have_to_be() {
    let of = |bench: Bench| bench.link.needs();
    let breaks = Needs::UPGRADES | Needs::BREAKS_UPGRADES;
    assert_eq!(of(Bench::with(Config::power9())), breaks);
    assert_eq!(of(Bench::with(Config::power10())), Needs::UPGRADES);
    let snoops = Needs::UPGRADES | Needs::SNOOPS_BROADCASTS;
    assert_eq!(of(Bench::snooping(Config::power10())), snoops);
    let both = breaks | Needs::SNOOPS_BROADCASTS;
    assert_eq!(of(Bench::snooping(Config::power9())), both);
}

/// A key that names nothing has nothing to invalidate; nor has a link tables of the kernel half.
#[test]
fn what_does_not_concern_it_is_done_at_once() {
    let bench = Bench::usual();
    let key = bench.attach(0x42, &[5]);
    bench.detach(key).unwrap();
    bench.unit.take_log();
    let (fence, cost) = bench.start(key, Flush::all());
    assert_eq!((bench.poll(fence), cost), (Poll::Ready(Ok(())), Cost::ZERO));
    let mut cost = Cost::ZERO;
    let tables = Invalidation::KernelTables;
    bench.link.queue(&tables, &mut cost).unwrap();
    assert_eq!(bench.poll(Fence::new(0)), Poll::Ready(Ok(())));
    assert_eq!((bench.unit.take_log(), cost), (vec![], Cost::ZERO));
}
