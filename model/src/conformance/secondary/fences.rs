//! Fences: polled in any order, polled again, sealed by several CPUs.

use super::{Port, check_together_around};
use crate::conformance::cpus::Check;
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::Fence;

/// Fences that are open at once.
const OPEN: usize = 4;

/// Flushes of each of the CPUs that flush at once.
const FLUSHES: usize = 64;

pub(super) fn check(port: &Port<'_>, passed: &mut Passed) -> Check {
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
        in_order(port, order)?;
    }
    stolen_seal(port)?;
    // Rising sequences, any order, polled again, a copy that is late, what another's seal closed.
    passed.checks += 5;
    passed.note(check_together_around(port.surroundings, || {
        (0..FLUSHES).try_for_each(|number| port.flush(port.page(number % OPEN)))
    })?);
    Ok(())
}

/// Several submissions under way, waited for in this order.
fn in_order(port: &Port<'_>, order: [usize; OPEN]) -> Check {
    let mut fences: [Option<Fence>; OPEN] = [None; OPEN];
    let mut last = port.seal()?.sequence;
    for (page, place) in fences.iter_mut().enumerate() {
        port.queue_at_last(&port.change(port.page(page)))?;
        let (fence, cost) = port.seal_counted()?;
        let sequence = fence.sequence;
        // Whoever had nothing to submit may give the last fence again.
        let is_new = (cost.commands, cost.syncs, cost.doorbells) != (0, 0, 0);
        if sequence < last || is_new && sequence == last {
            return Err(Failure::SequenceReused { sequence });
        }
        last = sequence;
        *place = Some(fence);
    }
    for fence in order.into_iter().filter_map(|at| fences[at]) {
        let mut looked_at = fence;
        port.wait(&mut looked_at)?;
        let sequence = fence.sequence;
        if !port.poll(&mut looked_at)? {
            return Err(Failure::FenceForgotten { sequence });
        }
        let mut late = fence;
        port.wait_again(&mut late)?;
    }
    Ok(())
}

/// Two CPUs have queued, and the first seal closes both: the second finds nothing queued, and waits for the first's.
fn stolen_seal(port: &Port<'_>) -> Check {
    port.queue_at_last(&port.change(port.page(0)))?;
    port.queue_at_last(&port.change(Flush::all()))?;
    let (mut first, mut second) = (port.seal()?, port.seal()?);
    if second.sequence < first.sequence {
        let (sealed, given) = (first.sequence, second.sequence);
        return Err(Failure::EmptySealIsNew { sealed, given });
    }
    port.wait(&mut second)?;
    port.wait(&mut first)
}
