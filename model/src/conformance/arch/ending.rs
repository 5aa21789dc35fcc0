//! The end of a space whose root some CPUs have kept.

use super::bench::Bench;
use super::{Probe, Way};
use crate::conformance::cpus::ask;
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;

/// Checks that nobody keeps the root of a space that has ended: every CPU [idles](Probe::idle) on it, and it is retired, so that
/// [`Platform::leave_borrowed_root`] is asked on each. Its pages stay mapped, and whoever still finds them has not left.
///
/// # Errors
/// The first CPU that walks the tables of a space that has ended.
///
/// # Context
/// As for [`arch`](super::arch), after it. The space is retired on return, and nobody runs it, unless the kernel offers no [`Probe::idle`].
pub fn ending<P: Platform, const WORDS: usize>(
    engine: &Shootdown<P, WORDS>,
    space: &AddressSpace<P::Arch, WORDS>,
    probe: &dyn Probe,
) -> Result<Passed, Failure> {
    let bench = Bench {
        // The space may have been released, and the device be silent.
        device: None,
        ..Bench::new(engine, space, probe)
    };
    let mut passed = Passed::default();
    bench.prepare(Way::Space, probe)?;
    for cpu in bench.online.iter() {
        if !ask(probe, cpu, || probe.idle())? {
            passed.note(false);
            return Ok(passed);
        }
    }
    let way = Way::Space;
    let ticket = engine.retire(space);
    let ticket = ticket.map_err(|refused| Failure::FlushRefused { way, refused })?;
    if let Err(left) = ticket.wait() {
        let cpu = left.error.cpus.iter().next();
        return Err(Failure::FlushIncomplete { way, cpu });
    }
    for cpu in bench.online.iter() {
        if ask(probe, cpu, || probe.read(0))?.is_some() {
            return Err(Failure::RootKept { cpu });
        }
    }
    passed.note(true);
    Ok(passed)
}
