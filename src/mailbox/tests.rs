use std::boxed::Box;
use std::vec;

use super::{FARTHEST, Mailboxes, Request};
use crate::address::{PageRange, PageSize, VirtAddr};
use crate::arch::{Change, HardwareId};
use crate::cpu_set::{CpuId, CpuSet};
use crate::flush::Flush;
use crate::space_id::SpaceId;

const INITIATOR: CpuId = CpuId::new(0);
const SILENT: CpuId = CpuId::new(1);

/// A CPU that stays silent, in a debugger for instance, while one initiator makes more requests than its word can count.
#[test]
fn promise_03_silence_is_never_taken_for_an_answer() {
    let mailboxes = Box::new(Mailboxes::<1>::new());
    let targets = CpuSet::of(SILENT);
    let post = || {
        let posted = mailboxes.post(INITIATOR, &targets, &targets, &Request::Round);
        posted.map(|(posted, _)| posted).unwrap()
    };
    let mut asked = vec![post()];
    for step in 1..=40_u64 {
        // Stands for so many requests of the same kind.
        let slot = &mailboxes.cpu(INITIATOR).unwrap().request;
        slot.publish(&Request::Round, step * u64::from(FARTHEST / 4));
        asked.push(post());
        for &posted in &asked {
            assert!(
                !mailboxes.has_acked(posted, SILENT),
                "{posted:?} at step {step}"
            );
        }
    }
    mailboxes.serve(SILENT, |_| {});
    assert!(mailboxes.has_acked(*asked.last().unwrap(), SILENT));
    post();
    for &posted in &asked {
        assert!(mailboxes.has_acked(posted, SILENT), "{posted:?} is settled");
    }
}

/// Where one of two stays silent the other's answer counts until it is so old that its word could be mistaken, and not from there on.
#[test]
fn promise_03_an_answer_counts_up_to_half_of_the_farthest() {
    let mailboxes = Box::new(Mailboxes::<1>::new());
    let answers = CpuId::new(2);
    let mut targets = CpuSet::of(SILENT);
    targets.insert(answers);
    let (posted, _) = mailboxes
        .post(INITIATOR, &targets, &targets, &Request::Round)
        .unwrap();
    mailboxes.serve(answers, |_| {});
    let slot = &mailboxes.cpu(INITIATOR).unwrap().request;
    let oldest = posted.generation + u64::from(FARTHEST / 2);
    slot.publish(&Request::Round, oldest - 1);
    assert!(mailboxes.has_acked(posted, answers));
    slot.publish(&Request::Round, oldest);
    assert!(!mailboxes.has_acked(posted, answers));
}

/// A target that was interrupted for nothing it knows of finds the request once more.
#[test]
fn promise_06_a_repeated_request_is_pending_again() {
    let mailboxes = Box::new(Mailboxes::<1>::new());
    let targets = CpuSet::of(SILENT);
    assert!(!mailboxes.is_pending(SILENT));
    let (posted, _) = mailboxes
        .post(INITIATOR, &targets, &targets, &Request::Everything)
        .unwrap();
    let mut served = 0;
    for round in 1..=2 {
        assert!(mailboxes.is_pending(SILENT), "round {round}");
        mailboxes.serve(SILENT, |_| served += 1);
        assert!(!mailboxes.is_pending(SILENT), "round {round}");
        assert_eq!(served, round);
        mailboxes.repeat(posted, &targets);
    }
    assert!(!mailboxes.is_pending(INITIATOR));
}

/// Who has flushed everything may still walk tables, or have a root loaded that is to be left.
#[test]
fn promise_10_a_flush_answers_neither_a_round_nor_a_request_to_leave() {
    let mailboxes = Box::new(Mailboxes::<1>::new());
    let targets = CpuSet::of(SILENT);
    let (space, id) = (SpaceId::from_raw(7), HardwareId(5));
    let flush = Flush::all();
    for (request, by_flush) in [
        (Request::Round, false),
        (Request::Leave { space, id }, false),
        (Request::LetGo { space, id }, false),
        (Request::Space(Change::new(space, id, 9, flush)), true),
        (Request::Kernel { flush }, true),
        (Request::Loaded { tables: true }, true),
        (Request::Everything, true),
    ] {
        let posted = mailboxes.post(INITIATOR, &targets, &targets, &request);
        assert_eq!(posted.unwrap().0.by_flush, by_flush, "{request:?}");
    }
}

/// A change that covers generations of which it knows no pages would make a CPU skip them.
#[test]
fn promise_05_merged_changes_cover_no_generation_between_them() {
    let page = |n: u64| Flush::page(VirtAddr::new(n << 12), PageSize::KIB_4);
    let change = |generation| {
        let (space, id) = (SpaceId::from_raw(7), HardwareId(5));
        Change::new(space, id, generation, page(generation))
    };
    let [fifth, sixth, eighth] = [5, 6, 8].map(change);
    for next in [fifth.merge(&sixth), sixth.merge(&fifth)] {
        assert_eq!((next.since, next.generation), (5, 6));
        assert_eq!(next.flush, page(5).merge(&page(6)));
        assert_eq!(next.merge(&eighth).since, 8);
        assert_eq!(eighth.merge(&next).since, 8);
        assert_eq!(next.merge(&sixth), next);
    }
}

/// Of several spaces the request keeps whether tables were freed in one of them, whichever came first.
#[test]
fn promise_08_request_of_a_batch_remembers_freed_tables() {
    let change = |flush| Change::new(SpaceId::from_raw(7), HardwareId(5), 9, flush);
    let leaf = change(Flush::page(VirtAddr::new(0x1000), PageSize::KIB_4));
    let tables = change(Flush::all());
    for (changes, expected) in [
        ([leaf, leaf, leaf], false),
        ([tables, leaf, leaf], true),
        ([leaf, tables, leaf], true),
        ([leaf, leaf, tables], true),
    ] {
        let [first, second, third] = changes;
        let request = Request::Space(first).with(&second).with(&third);
        assert_eq!(request, Request::Loaded { tables: expected });
    }
}

/// Whatever is asked for is what is read, and what covers two covers each.
#[test]
fn promise_05_requests_survive_their_encoding() {
    let (space, id) = (SpaceId::from_raw(7), HardwareId(1 << 40 | 5));
    let flush = Flush::page(VirtAddr::new(0x40_0000), PageSize::MIB_2);
    let pages = PageRange::page(VirtAddr::new(0x5000), PageSize::KIB_4);
    let tables = Flush::pages(pages);
    let change = Change {
        space,
        id,
        since: 8,
        generation: 9,
        flush,
    };
    let requests = [
        Request::Round,
        Request::Space(change),
        Request::Kernel { flush },
        Request::Kernel { flush: tables },
        Request::Kernel {
            flush: Flush::all(),
        },
        Request::Leave { space, id },
        Request::LetGo { space, id },
        Request::Loaded { tables: false },
        Request::Loaded { tables: true },
        Request::Everything,
    ];
    for request in requests {
        assert_eq!(Request::decode(request.encode()), request);
        assert_eq!(request.merge(&request), request);
        assert_eq!(request.merge(&Request::Everything), Request::Everything);
    }
    let merged = requests[5].merge(&requests[6]);
    assert_eq!(merged, Request::Everything, "one is waited for");
}

/// Page, range, space, everything: as wide as both, and no wider than it must be.
#[test]
fn promise_11_merged_requests_are_no_wider_than_both() {
    let page = |n: u64| Flush::page(VirtAddr::new(n << 12), PageSize::KIB_4);
    let change = |space, id| {
        let change = Change::new(SpaceId::from_raw(space), HardwareId(id), 5, page(space));
        Request::Space(change)
    };
    let kernel = |flush| Request::Kernel { flush };
    let loaded = |tables| Request::Loaded { tables };
    let both = kernel(page(1).merge(&page(3)));
    for (one, other, merged) in [
        (Request::Round, kernel(page(1)), kernel(page(1))),
        (Request::Round, Request::Round, Request::Round),
        (kernel(page(1)), kernel(page(3)), both),
        (loaded(false), loaded(false), loaded(false)),
        (loaded(true), loaded(false), loaded(true)),
        (change(7, 5), change(7, 5), change(7, 5)),
        (change(7, 5), change(8, 5), Request::Everything),
        (change(7, 5), change(7, 6), Request::Everything),
        (change(7, 5), kernel(page(1)), Request::Everything),
    ] {
        assert_eq!(one.merge(&other), merged, "{one:?} and {other:?}");
        assert_eq!(other.merge(&one), merged, "{other:?} and {one:?}");
    }
}
