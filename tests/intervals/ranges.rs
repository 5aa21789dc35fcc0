//! Who is concerned: both ends of a range belong to it.

use crate::common::{Call, Device, World, pages};
use tlb_shootdown::address::{FlushRange, PageRange, PageSize, RangeError, VirtAddr};
use tlb_shootdown::secondary::AttachKey;

const TOP: u64 = u64::MAX >> 12;

/// The keys that were told to start.
fn told(world: &'static World, range: impl Into<FlushRange>) -> Vec<u64> {
    let started = world.intervals.begin(range).unwrap();
    drop(started.wait(&mut || false).unwrap());
    let starts = |call: &Call| match call {
        Call::Start(key) => Some(*key),
        _ => None,
    };
    world.calls().iter().filter_map(starts).collect()
}

#[test]
fn neighbours_are_not_concerned() {
    let world = World::new();
    let _below = world.subscribe(1, 0, 9);
    let _above = world.subscribe(2, 20, 29);
    assert_eq!(told(world, pages(10, 19)), []);
    assert_eq!(told(world, pages(9, 19)), [1]);
    assert_eq!(told(world, pages(10, 20)), [2]);
    assert_eq!(told(world, pages(9, 20)), [1, 2]);
}

#[test]
fn everybody_who_has_a_page_of_it_is_concerned_in_order_of_addresses() {
    let world = World::new();
    let _short = world.subscribe(1, 15, 15);
    let _long = world.subscribe(2, 0, 99);
    let _same = world.subscribe(3, 15, 15);
    let _apart = world.subscribe(4, 40, 49);
    assert_eq!(told(world, pages(15, 15)), [2, 1, 3]);
    assert_eq!(told(world, pages(16, 39)), [2], "around what lies within");
    assert_eq!(told(world, pages(0, 99)), [2, 1, 3, 4]);
    assert_eq!(told(world, pages(99, 99)), [2]);
    assert_eq!(told(world, pages(100, 100)), []);
}

#[test]
fn promise_05_everything_concerns_everybody() {
    let world = World::new();
    let _bottom = world.subscribe(1, 0, 0);
    let _top = world.subscribe(2, TOP, TOP);
    let device = Device::new(world);
    let _whole = world
        .intervals
        .subscribe(FlushRange::All, device, AttachKey(3))
        .unwrap();
    assert_eq!(told(world, FlushRange::All), [1, 3, 2]);
    assert_eq!(told(world, pages(TOP, TOP)), [3, 2]);
    assert_eq!(told(world, pages(0, 0)), [1, 3]);
    assert_eq!(told(world, pages(0, TOP)), [1, 3, 2]);
}

/// What has no byte is no range: it is refused before it could mean nothing, or everything.
#[test]
fn empty_and_wrapping_ranges_cannot_be_named() {
    let at = VirtAddr::new;
    let empty = PageRange::new(at(0x1000), at(0x1000), PageSize::KIB_4);
    assert_eq!(empty, Err(RangeError::Empty));
    let empty = PageRange::from_len(at(0x1000), 0, PageSize::KIB_4);
    assert_eq!(empty, Err(RangeError::Empty));
    let wraps = PageRange::from_len(at(u64::MAX), 2, PageSize::KIB_4);
    assert_eq!(wraps, Err(RangeError::Wraps));
    let world = World::new();
    let _top = world.subscribe(1, TOP, TOP);
    let last_byte = PageRange::from_len(at(u64::MAX), 1, PageSize::KIB_4).unwrap();
    assert_eq!(told(world, last_byte), [1]);
}

/// The subscriber gets the whole of the change, in the caller's terms.
#[test]
fn each_is_told_of_the_range_that_changes() {
    let world = World::new();
    let (first, _) = world.subscribe(1, 0, 0);
    let (second, _) = world.subscribe(2, 511, 600);
    let block = PageRange::page(VirtAddr::new(0x1000), PageSize::MIB_2);
    assert_eq!(told(world, block), [1, 2]);
    for (device, key) in [(first, 1), (second, 2)] {
        let [change] = device.changes()[..] else {
            panic!("once");
        };
        assert_eq!(change.range, FlushRange::Pages(block));
        assert_eq!(change.key, AttachKey(key));
    }
}
