//! Nothing that was asked for is ever left out, however crowded it is.

use super::*;

const A: Pid = Pid::new(1).unwrap();
const B: Pid = Pid::new(2).unwrap();
const C: Pid = Pid::new(3).unwrap();

fn pages(first: u64, count: u64) -> Extent {
    Extent::Pages {
        first: first << 12,
        count,
        size: LeafSize::Kib4,
    }
}

fn page(pid: Pid, number: u64) -> Launch {
    Launch::page(pid, VirtAddr::new(number << 12), LeafSize::Kib4)
}

fn drain<const N: usize>(requests: &mut Requests<N>) -> Vec<(Launch, u64)> {
    std::iter::from_fn(|| requests.next()).collect()
}

use std::vec::Vec;

#[test]
fn the_oldest_comes_first_page_by_page() {
    let mut requests: Requests<4> = Requests::new();
    assert_eq!(requests.add(A, pages(7, 2), 1), Ok(0));
    assert_eq!(requests.add(B, Extent::Process, 2), Ok(0));
    assert_eq!(requests.oldest(), Some(1));
    let expected = [(page(A, 7), 1), (page(A, 8), 1), (Launch::process(B), 2)];
    assert_eq!(drain(&mut requests), expected);
    assert_eq!(requests.oldest(), None);
}

#[test]
fn what_is_covered_needs_no_place_of_its_own() {
    let mut requests: Requests<4> = Requests::new();
    assert_eq!(requests.add(A, pages(7, 4), 1), Ok(0));
    assert_eq!(requests.add(A, pages(8, 2), 2), Ok(0));
    assert_eq!(requests.add(A, pages(10, 1), 3), Ok(0));
    assert_eq!(drain(&mut requests).len(), 4);
}

/// Not by pages that have been launched, nor by pages of another process, another size, or beyond the end.
#[test]
fn promise_05_what_is_not_covered_keeps_a_place() {
    let mut requests: Requests<8> = Requests::new();
    requests.add(A, pages(7, 3), 1).unwrap();
    assert_eq!(requests.next(), Some((page(A, 7), 1)));
    requests.add(A, pages(7, 1), 2).unwrap();
    requests.add(B, pages(8, 1), 3).unwrap();
    requests.add(A, pages(9, 2), 4).unwrap();
    let large = Extent::Pages {
        first: 8 << 12,
        count: 1,
        size: LeafSize::Kib64,
    };
    requests.add(A, large, 5).unwrap();
    let numbers: Vec<u64> = drain(&mut requests).iter().map(|(_, n)| *n).collect();
    assert_eq!(numbers, [1, 1, 2, 3, 4, 4, 5]);
}

/// The merged request is as old as its oldest part.
#[test]
fn promise_05_a_whole_process_takes_its_pages_with_it() {
    let mut requests: Requests<4> = Requests::new();
    requests.add(A, pages(7, 1), 1).unwrap();
    requests.add(B, pages(7, 1), 2).unwrap();
    requests.add(A, pages(9, 1), 3).unwrap();
    assert_eq!(requests.add(A, Extent::Process, 4), Ok(0));
    requests.add(A, pages(11, 1), 5).unwrap();
    assert_eq!(
        drain(&mut requests),
        [(Launch::process(A), 1), (page(B, 7), 2)]
    );
}

#[test]
fn promise_05_a_crowd_of_one_process_becomes_the_whole_process() {
    let mut requests: Requests<3> = Requests::new();
    requests.add(A, pages(1, 1), 1).unwrap();
    requests.add(B, pages(2, 1), 2).unwrap();
    requests.add(A, pages(3, 1), 3).unwrap();
    assert_eq!(requests.add(A, pages(5, 1), 4), Ok(3));
    assert_eq!(
        drain(&mut requests),
        [(Launch::process(A), 1), (page(B, 2), 2)]
    );
}

#[test]
fn promise_05_a_newcomer_finds_room_while_processes_have_places() {
    let mut requests: Requests<3> = Requests::new();
    requests.add(B, pages(2, 1), 1).unwrap();
    requests.add(A, pages(1, 1), 2).unwrap();
    requests.add(A, pages(3, 1), 3).unwrap();
    assert_eq!(requests.add(C, pages(5, 1), 4), Ok(2));
    let expected = [(page(B, 2), 1), (Launch::process(A), 2), (page(C, 5), 4)];
    assert_eq!(drain(&mut requests), expected);
    for (pid, number) in [(A, 5), (B, 6), (C, 7)] {
        assert_eq!(requests.add(pid, Extent::Process, number), Ok(0));
    }
    let another = Pid::new(4).unwrap();
    assert_eq!(requests.add(another, Extent::Process, 8), Err(Full));
    assert_eq!(drain(&mut requests).len(), 3);
}

/// The page behind the top one would wrap around.
#[test]
fn the_top_page_ends_a_range() {
    let mut requests: Requests<1> = Requests::new();
    let top = u64::MAX >> 12;
    requests.add(A, pages(top, 1), 1).unwrap();
    assert_eq!(drain(&mut requests), [(page(A, top), 1)]);
}
