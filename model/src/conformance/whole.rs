//! A whole port in one call.

use super::arch::{Probe, arch, ending};
use super::failure::Failure;
use super::passed::Passed;
use super::platform::platform;
use super::secondary::{Bounds, Surroundings, secondary};
use core::fmt;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;

/// A kernel as a whole: its engine, a space that every online CPU runs, and where it has one, a secondary TLB that shares this space.
pub trait Port<const WORDS: usize>: Probe {
    /// The kernel's platform.
    type Platform: Platform;

    /// The kernel's engine.
    fn engine(&self) -> &Shootdown<Self::Platform, WORDS>;

    /// The space of the [`Probe`]'s pages.
    fn space(&self) -> &AddressSpace<<Self::Platform as Platform>::Arch, WORDS>;

    /// The secondary TLB, attached to the space with the engine.
    fn secondary(&self) -> Option<Attached<'_>> {
        None
    }
}

/// A secondary TLB, as [`secondary()`](super::secondary()) takes it.
pub struct Attached<'a> {
    /// The driver.
    pub tlb: &'a dyn SecondaryTlb,
    /// What it calls the space.
    pub key: AttachKey,
    /// How far the suite goes.
    pub bounds: Bounds,
    /// What is around it.
    pub surroundings: &'a dyn Surroundings,
}

/// What a run has shown of a whole port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Of its platform.
    pub platform: Passed,
    /// Of its CPUs and the engine on them, and of the device where there is one.
    pub arch: Passed,
    /// Of its secondary TLB, where there is one.
    pub secondary: Option<Passed>,
    /// Of the end of the space.
    pub ending: Passed,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "platform: {}", self.platform)?;
        writeln!(f, "arch: {}", self.arch)?;
        match &self.secondary {
            Some(passed) => writeln!(f, "secondary TLB: {passed}")?,
            None => writeln!(f, "secondary TLB: there is none")?,
        }
        write!(f, "end of a space: {}", self.ending)
    }
}

/// Checks a whole port: its [`platform()`](super::platform()), its [`arch()`](super::arch()) with the device that shares the space, its
/// [`secondary()`](super::secondary()) TLB, and the [`ending()`](super::ending()) of the space. The space cannot be used any more.
///
/// # Errors
/// The first sentence of a contract that is found broken.
///
/// # Context
/// As for each of them.
pub fn run<K: Port<WORDS>, const WORDS: usize>(port: &K) -> Result<Proof, Failure> {
    let (engine, space) = (port.engine(), port.space());
    let of_secondary = |attached: Attached<'_>| {
        let Attached {
            tlb,
            key,
            bounds,
            surroundings,
        } = attached;
        secondary(tlb, key, &bounds, surroundings)
    };
    Ok(Proof {
        platform: platform(engine, port)?,
        arch: arch(engine, space, port)?,
        secondary: port.secondary().map(of_secondary).transpose()?,
        ending: ending(engine, space, port)?,
    })
}
