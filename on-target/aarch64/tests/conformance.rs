//! This kernel's `Platform`, and the library's AArch64 on it, before the conformance suite.
#![no_std]
#![no_main]

use on_target_aarch64 as kernel;

#[path = "../../proof/mod.rs"]
mod proof;
#[path = "../../proof/polled.rs"]
mod work;

#[embedded_test::tests]
mod tests {
    use crate::proof;

    /// It has neither NMIs nor wakers.
    #[test]
    fn the_platform_keeps_its_contract() {
        proof::the_platform_keeps_its_contract((19, 2));
    }

    #[test]
    fn every_way_of_flushing_reaches_every_cpu() {
        proof::every_way_of_flushing_reaches_every_cpu();
    }

    #[test]
    fn no_cpu_keeps_the_root_of_a_space_that_has_ended() {
        proof::no_cpu_keeps_the_root_of_a_space_that_has_ended();
    }
}
