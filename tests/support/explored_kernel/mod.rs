//! Every run of a small kernel on a modelled machine of any architecture: two CPUs that share a process and change a page of it each, a
//! neighbour to switch to, and perhaps a device that serves the process. It answers nobody at once: interrupts are taken, tickets looked at
//! and IOMMUs worked at in steps of their own, in every order.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]

mod cpus;
mod deferring;
mod devices;
mod driver;
mod ending;
mod flushing;
mod kernel;
mod pages;
mod step;
mod theme;

pub(crate) use driver::explore;
pub(crate) use step::{Next, Step};
pub(crate) use theme::{CHANGES, DEFERRALS, ENDS, GENERATIONS, JOINS, MERGERS, MOVES, Theme};

use crate::random_kernel::Devices;

/// The machine, and the device behind its IOMMU.
pub(crate) type Booted<M> = (M, Option<Box<dyn Devices<M>>>);

/// A module for each machine, with a test for each theme. The numbers are how many steps runs have in
/// which the machine is as late as may be, and in which it does one thing otherwise.
macro_rules! every_run {
    ($($(#[doc = $doc:literal])* $machine:ident $reach:tt: $boot:expr;)*) => {$(
        $(#[doc = $doc])*
        mod $machine {
            use super::*;
            use crate::explored_kernel::{CHANGES, DEFERRALS, ENDS, JOINS, MOVES, explore};

            #[test]
            fn promise_03_nothing_stale_in_any_run_of_changes() {
                explore(&CHANGES, $reach, || $boot);
            }

            #[test]
            fn promise_03_nothing_stale_in_any_run_of_moves() {
                explore(&MOVES, $reach, || $boot);
            }

            #[test]
            fn promise_03_nothing_stale_in_any_run_of_joins() {
                explore(&JOINS, $reach, || $boot);
            }

            #[test]
            fn promise_03_nothing_stale_in_any_run_of_deferrals() {
                explore(&DEFERRALS, $reach, || $boot);
            }

            #[test]
            fn promise_03_nothing_stale_in_any_run_of_ends() {
                explore(&ENDS, $reach, || $boot);
            }
        }
    )*};
}

pub(crate) use every_run;
