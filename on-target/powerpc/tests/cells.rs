//! Every cell of the table for the CPUs, each on a machine of its own: the control shows the stale entry, the cure does
//! away with it, and the cost is the one promised.
#![no_std]
#![no_main]

use on_target_powerpc as _;

#[embedded_test::tests]
mod tests {
    use on_target_powerpc::cells::is_as_it_must_be;
    use tlb_shootdown_scenarios::{Case, Observer};

    #[test]
    fn promise_09_upgrade_reaches_this_cpu() {
        is_as_it_must_be(Case::Upgrade, Observer::ThisCpu);
    }

    #[test]
    fn promise_09_upgrade_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Upgrade, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_downgrade_reaches_this_cpu() {
        is_as_it_must_be(Case::Downgrade, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_downgrade_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Downgrade, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_unmap_reaches_this_cpu() {
        is_as_it_must_be(Case::Unmap, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_unmap_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Unmap, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_remap_reaches_this_cpu() {
        is_as_it_must_be(Case::Remap, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_remap_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Remap, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_range_reaches_this_cpu() {
        is_as_it_must_be(Case::Range, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_range_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Range, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_space_reaches_this_cpu() {
        is_as_it_must_be(Case::Space, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_space_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Space, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_gather_reaches_this_cpu() {
        is_as_it_must_be(Case::Gather, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_gather_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Gather, Observer::OtherCpu);
    }

    #[test]
    fn promise_03_reclaim_reaches_this_cpu() {
        is_as_it_must_be(Case::Reclaim, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_reclaim_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Reclaim, Observer::OtherCpu);
    }
    #[test]
    fn promise_03_split_reaches_this_cpu() {
        is_as_it_must_be(Case::Split, Observer::ThisCpu);
    }

    #[test]
    fn promise_03_split_reaches_the_other_cpu() {
        is_as_it_must_be(Case::Split, Observer::OtherCpu);
    }
}
