//! Devices that are asked again after a time-out, and when what they answer is looked at.

use crate::errors::{dead, three_devices};
use crate::flushing::{finish, pages, start};
use std::task::Poll;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::secondary::SecondaryTlb as _;

/// Asked again, the device answers; before anybody looks at that, it is silent to an invalidation that came after. The answer was not to
/// that one.
#[test]
fn promise_05_an_answer_settles_nothing_that_came_after_it() {
    let (bench, keys) = three_devices();
    bench.fake.inner().dead.insert(1);
    let (mut first, _) = start(&bench, keys[0], pages(0x1000, 0x2000));
    bench.fake.inner().dead.clear();
    // Asks the device, which answers inside the doorbell write.
    let looked = bench.smmu.poll(&mut first, &mut Cost::default());
    assert_eq!(looked, Poll::Pending);
    bench.fake.inner().dead.insert(1);
    let (second, _) = start(&bench, keys[0], pages(0x3000, 0x4000));
    assert_eq!(finish(&bench, second), dead(1));
    bench.fake.assert_rules_kept();
}
