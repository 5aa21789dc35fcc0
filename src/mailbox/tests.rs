use std::boxed::Box;
use std::vec;

use super::{FARTHEST, Mailboxes, Request};
use crate::cpu_set::{CpuId, CpuSet};

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
