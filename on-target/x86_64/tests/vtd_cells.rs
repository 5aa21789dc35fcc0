//! Every cell of the table for a device behind VT-d, each on a machine of its own.
#![no_std]
#![no_main]

use on_target_x86_64 as _;

#[embedded_test::tests]
mod tests {
    use on_target_x86_64::cells::is_as_it_must_be;
    use tlb_shootdown_scenarios::{Case, Observer};

    #[test]
    fn promise_09_upgrade_reaches_the_device() {
        is_as_it_must_be(Case::Upgrade, Observer::Device);
    }

    #[test]
    fn promise_03_downgrade_reaches_the_device() {
        is_as_it_must_be(Case::Downgrade, Observer::Device);
    }

    #[test]
    fn promise_03_unmap_reaches_the_device() {
        is_as_it_must_be(Case::Unmap, Observer::Device);
    }

    #[test]
    fn promise_03_remap_reaches_the_device() {
        is_as_it_must_be(Case::Remap, Observer::Device);
    }

    #[test]
    fn promise_03_range_reaches_the_device() {
        is_as_it_must_be(Case::Range, Observer::Device);
    }

    #[test]
    fn promise_03_space_reaches_the_device() {
        is_as_it_must_be(Case::Space, Observer::Device);
    }

    #[test]
    fn promise_03_gather_reaches_the_device() {
        is_as_it_must_be(Case::Gather, Observer::Device);
    }

    #[test]
    fn promise_03_reclaim_reaches_the_device() {
        is_as_it_must_be(Case::Reclaim, Observer::Device);
    }
    #[test]
    fn promise_03_split_reaches_the_device() {
        is_as_it_must_be(Case::Split, Observer::Device);
    }
}
