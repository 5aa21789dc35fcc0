//! Flushes of every form reach the nest MMU, and those left out are seen.

use crate::linked::{BASE, Linked, kinds, range, small};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::DeviceFault;

const RIGHTS: Rights = Rights::ReadWrite;

fn flushes() -> Vec<Flush> {
    let sized = |flush: Flush| flush.leaf_size(PageSize::KIB_4);
    vec![
        small(BASE),
        sized(Flush::pages(range(BASE, 4)).leaf_only()),
        sized(Flush::pages(range(BASE, 100)).leaf_only()),
        Flush::pages(range(BASE, 1)).leaf_only(),
        Flush::pages(range(BASE, 4)),
        Flush::all(),
    ]
}

#[test]
fn promise_03_no_device_reads_what_was_unmapped() {
    for (features, options) in kinds() {
        for temper in [Temper::Late, Temper::Kind] {
            for flush in flushes() {
                let linked = Linked::new(features, options, temper);
                let shared = linked.share(3);
                let frame = linked.map(&shared, BASE, PageSize::KIB_4, RIGHTS);
                linked.map(&shared, BASE + 0x20_0000, PageSize::KIB_4, RIGHTS);
                for va in [BASE, BASE + 0x20_0000] {
                    shared.device.read(va).unwrap();
                }
                shared.process.tables.unmap(0, BASE);
                // Without the flush it is used all the same.
                assert!(shared.device.read(BASE).is_ok());
                linked.flush(&shared, flush);
                linked.rig.model.free(frame);
                let read = shared.device.read(BASE);
                assert_eq!(read, Err(DeviceFault::NotPresent), "{options:?} {flush:?}");
                assert!(shared.device.read(BASE + 0x20_0000).is_ok());
                linked.assert_clean();
            }
        }
    }
}

#[test]
fn promise_03_large_pages_go_by_their_own_size_or_with_the_process() {
    let large = BASE + 0x40_0000;
    for (features, options) in kinds() {
        for flush in [
            Flush::page(
                tlb_shootdown::address::VirtAddr::new(large),
                PageSize::MIB_2,
            ),
            Flush::pages(range(large, 512)),
            Flush::all(),
        ] {
            let linked = Linked::new(features, options, Temper::Late);
            let shared = linked.share(3);
            linked.map(&shared, large, PageSize::MIB_2, RIGHTS);
            shared.device.read(large + 0x5000).unwrap();
            shared.process.tables.unmap(0, large);
            linked.flush(&shared, flush);
            assert!(shared.device.read(large + 0x5000).is_err(), "{options:?}");
            linked.assert_clean();
        }
    }
}

#[test]
fn promise_08_freed_tables_are_walked_no_more() {
    for (features, options) in kinds() {
        let linked = Linked::new(features, options, Temper::Late);
        let shared = linked.share(3);
        linked.map(&shared, BASE, PageSize::KIB_4, RIGHTS);
        shared.device.read(BASE).unwrap();
        let tables = &shared.process.tables;
        tables.unmap(0, BASE);
        let table = tables.unhang_table(0, BASE).unwrap();
        let pages = Flush::pages(range(BASE, 512)).leaf_size(PageSize::KIB_4);
        linked.flush(&shared, pages);
        linked.rig.model.free(table);
        assert!(shared.device.read(BASE).is_err(), "{options:?}");
        linked.assert_clean();
    }
}

/// Two processes on one link, and one that no device knows.
#[test]
fn promise_03_a_flush_concerns_its_own_process() {
    for (features, options) in kinds() {
        let linked = Linked::new(features, options, Temper::Late);
        let (first, second) = (linked.share(3), linked.share(4));
        for shared in [&first, &second] {
            linked.map(shared, BASE, PageSize::KIB_4, RIGHTS);
            shared.device.write(BASE, 9).unwrap();
        }
        first.process.tables.unmap(0, BASE);
        linked.flush(&first, small(BASE));
        assert!(first.device.read(BASE).is_err());
        assert_eq!(second.device.read(BASE), Ok(9));
        linked.assert_clean();
    }
}

/// What `Cost` says is what the machine counted: by page, by page up to the threshold, and as one.
#[test]
fn promise_11_launches_are_what_was_counted() {
    let (features, options) = kinds()[2];
    let linked = Linked::new(features, options, Temper::Late);
    let shared = linked.share(3);
    for (flush, launches) in flushes().into_iter().zip([1, 4, 1, 1, 1, 1]) {
        linked.rig.model.take_counts();
        let space = shared.process.space;
        let cost = linked.rig.engine.flush(space, flush).unwrap();
        let counts = linked.rig.model.take_counts();
        assert_eq!((cost.commands, cost.doorbells), (launches, launches));
        assert_eq!((counts.commands, counts.doorbells), (launches, launches));
    }
}
