//! What is shown: stale translations, case by case and observer by observer, on any machine that can be driven.
//!
//! A kernel under an emulator, or a software model, implements [`Machine`]. [`run`] then plays one case to one observer
//! twice - once with the invalidation left out (the control), once with the crate's invalidation (the cure) - and gives a
//! [`Cell`]. A kernel prints cells with [`Cell::print`]; the host reads them with [`Cell::from_line`] and judges them
//! with [`verdict`] against the [`Yardstick`] of that machine. [`show`] does all of it for a kernel. What a machine asks of the crate's
//! engine is asked by [`flush()`] and [`split`] for all of them.
//!
//! Nothing here knows an architecture; what differs between machines stands in [`Yardstick`]s alone.
#![no_std]

mod cell;
mod change;
mod cost;
mod deferred;
mod driver;
mod engine;
mod failure;
mod judge;
mod machine;
mod script;
mod show;
mod verdict;
mod words;
mod yardstick;

pub use cell::{Cell, LINE_PREFIX};
pub use cost::Cost;
pub use driver::{MAX_TRIES, run};
pub use engine::{Spaces, Unflushed, flush, split};
pub use failure::Failure;
pub use machine::{Access, Directory, Flush, Frame, Machine, Mapping, PAGES, Page, Rights};
pub use show::show;
pub use verdict::{Wrong, verdict};
pub use words::{Case, Observer, Refusal, Seen};
pub use yardstick::{Unseen, Yardstick};
