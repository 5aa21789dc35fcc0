//! Attaching secondary TLBs to address spaces, and taking them off again.
//!
//! An attached [`SecondaryTlb`] is told by the engine itself of every flush of the space, so that no caller can forget it.
//! Kernel mappings are not told; freed kernel *tables* go to the instances registered with
//! [`Shootdown::register_instance`].
//!
//! Users of memory that keep tables of their own subscribe to ranges of it instead: [`interval`].

mod attach;
mod detach;
pub mod interval;

use crate::secondary::SecondaryTlb;
use crate::space::SpaceId;

#[cfg(doc)]
use crate::shootdown::Shootdown;

/// One attachment of a secondary TLB to one address space, as [`Shootdown::attach`] returned it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "needed to detach"]
pub struct Attachment {
    space: SpaceId,
    index: usize,
    generation: u32,
}

/// A secondary TLB that lives as long as the kernel does.
pub type StaticTlb = &'static dyn SecondaryTlb;
