//! Waits that take longer than they may.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::oracle::Violation;
use tlb_shootdown_model::platform::{ModelPlatform, PlainArch};

type Platform = ModelPlatform<PlainArch>;

fn platform() -> Platform {
    let platform = Platform::new(Model::new(2, Temper::Late));
    platform.set_current(1);
    platform
}

fn wait(platform: &Platform, turns: u64) {
    (0..turns).for_each(|_| platform.relax());
}

#[test]
fn a_wait_within_its_bound_is_none_of_anybodys_business() {
    let platform = platform();
    platform.bounded(10, || wait(&platform, 10));
    // Outside of it nobody counts, and the next begins anew.
    wait(&platform, 30);
    assert_eq!(platform.bounded(10, || 7), 7);
    platform.bounded(10, || wait(&platform, 10));
    assert_eq!(platform.model().violations(), []);
}

#[test]
fn a_wait_beyond_its_bound_is_reported() {
    let platform = platform();
    platform.bounded(10, || wait(&platform, 11));
    let late = Violation::WaitedTooLong { cpu: 1, turns: 11 };
    assert_eq!(platform.model().violations(), [late]);
}

#[test]
fn a_wait_without_end_ends_the_test() {
    let platform = platform();
    let endless = || platform.bounded(10, || wait(&platform, u64::MAX));
    let ended = catch_unwind(AssertUnwindSafe(endless)).unwrap_err();
    let message = ended.downcast_ref::<String>().unwrap();
    assert_eq!(message, "CPU 1 waited for 21 turns");
}
