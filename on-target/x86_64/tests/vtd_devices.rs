//! Devices that come, go and share behind VT-d.
#![no_std]
#![no_main]

use on_target_x86_64 as _;

#[embedded_test::tests]
mod tests {
    use on_target_x86_64::sharing;

    // Of a released space the last test of this file is the only one: QEMU reads P of a PASID entry together with the context entry, and
    // goes on with the table that a device has walked before whatever P is. The model heeds it.

    #[test]
    fn promise_10_detached_means_silent_and_untold() {
        sharing::detached_means_silent_and_untold();
    }

    #[test]
    fn promise_02_a_flush_before_the_first_walk_is_told_to_the_device() {
        sharing::a_flush_before_the_first_walk_is_told_to_the_device();
    }

    #[test]
    fn a_device_that_was_never_attached_is_refused() {
        sharing::a_device_that_was_never_attached_is_refused();
    }

    #[test]
    fn an_invalidation_of_the_cpus_does_not_reach_the_device() {
        sharing::an_invalidation_of_the_cpus_does_not_reach_the_device();
    }

    #[test]
    fn promise_05_the_queue_wraps_and_loses_nothing() {
        sharing::the_queue_wraps_and_loses_nothing();
    }

    #[test]
    fn promise_06_four_cpus_flush_at_once() {
        sharing::four_cpus_flush_at_once();
    }

    #[test]
    fn promise_04_a_frame_comes_back_when_the_device_has_let_go_of_it() {
        sharing::a_frame_comes_back_when_the_device_has_let_go_of_it();
    }

    #[test]
    fn promise_11_other_pages_keep_their_entries() {
        sharing::other_pages_keep_their_entries();
    }

    // The runner leaves tests whose names end in `_of_a_testdev` out, and says so, where a QEMU has no `iommu-testdev`.
    #[test]
    fn promise_03_one_command_reaches_edu_and_the_write_of_a_testdev() {
        sharing::one_command_reaches_edu_and_a_testdev();
    }

    #[test]
    fn promise_10_released_means_silent_to_the_first_write_of_a_testdev() {
        sharing::released_means_silent_to_the_first_write_of_a_testdev();
    }
}
