//! The end of a space: released once, released again, flushed meanwhile and afterwards.

use super::{Port, check_together_around, device};
use crate::conformance::cpus::Check;
use crate::conformance::entry::{Entry, Frame, PAGES};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use tlb_shootdown::flush::Flush;

/// Releases and flushes of each CPU.
const TIMES: usize = 4;

pub(super) fn check(port: &Port<'_>, passed: &mut Passed) -> Check {
    let shows_release = port.surroundings.shows_release();
    let window = port.surroundings.device().filter(|_| shows_release);
    if let Some(window) = window {
        device::prepare(port, window, Entry::ReadWrite(Frame::First))?;
    }
    // Open when the release comes.
    port.queue_at_last(&port.change(port.page(0)))?;
    let mut under_way = port.seal()?;
    port.queue_at_last(&port.change(port.page(1)))?;
    port.release()?;
    port.wait(&mut port.seal()?)?;
    port.wait(&mut under_way)?;
    let walked = |page: &usize| window.is_some_and(|window| window.read(*page).is_some());
    if let Some(page) = (0..PAGES).find(walked) {
        return Err(Failure::NotSilent { page });
    }
    again(port)?;
    // Accepted with flushes open, once more, flushed after it; silent.
    passed.checks += 3;
    passed.note(window.is_some());
    passed.note(check_together_around(port.surroundings, || again(port))?);
    Ok(())
}

fn again(port: &Port<'_>) -> Check {
    for _ in 0..TIMES {
        port.release()?;
        port.wait(&mut port.seal()?)?;
        port.flush(Flush::all())?;
    }
    Ok(())
}
