//! Where tasks can be woken later: one that awaits a shootdown is, until that has ended. A task that is woken too often is not seen.

use super::{Subject, soon};
use crate::conformance::cpus::{Check, ask};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::future::{Future, IntoFuture};
use core::pin::pin;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform;

/// Turns within which a task must have been woken, where there is no clock: a tick of ten milliseconds, in pauses of the fastest CPUs, with room.
const SOON: u32 = 4_000_000;

/// How often the wakers of each task were woken. A platform may keep them longer than the suite runs, so they name no memory but this.
static WOKEN: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

/// Runs that may go on at the same time take turns at the places.
static NEXT: AtomicUsize = AtomicUsize::new(0);

const CALLS: RawWakerVTable = RawWakerVTable::new(raw, wake, wake, |_| {});

/// The waker of the task in this place; no memory lies there.
fn raw(place: *const ()) -> RawWaker {
    RawWaker::new(place, &CALLS)
}

fn wake(place: *const ()) {
    if let Some(woken) = WOKEN.get(place.addr()) {
        woken.fetch_add(1, Ordering::SeqCst);
    }
}

pub(super) fn check<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    passed: &mut Passed,
) -> Check {
    let mut waited = false;
    for cpu in subject.online.iter() {
        waited |= ask(subject.cpus, cpu, || awaits(subject, cpu))??;
    }
    passed.note(waited);
    Ok(())
}

/// Looks at a shootdown when this CPU's task is woken, and only then. Whether it had to wait: where invalidations are broadcast
/// it does not.
fn awaits<P: Platform, const WORDS: usize>(
    subject: &Subject<'_, P, WORDS>,
    cpu: CpuId,
) -> Result<bool, Failure> {
    let place = NEXT.fetch_add(1, Ordering::Relaxed) % WOKEN.len();
    // SAFETY: its functions read the place as a number, and may be called on any CPU at any time.
    let waker = unsafe { Waker::from_raw(raw(ptr::without_provenance(place))) };
    let count = || WOKEN.get(place).map(|woken| woken.load(Ordering::SeqCst));
    let mut context = Context::from_waker(&waker);
    let ticket = subject.engine.start_kernel(Flush::all());
    let ticket = ticket.map_err(|_| Failure::RoundRefused)?;
    let mut ends = pin!(ticket.into_future());
    let mut waited = false;
    loop {
        let before = count();
        match ends.as_mut().poll(&mut context) {
            Poll::Ready(Ok(_)) => return Ok(waited),
            Poll::Ready(Err(left)) => {
                let silent = left.error.cpus.iter().next();
                return Err(
                    silent.map_or(Failure::RoundRefused, |cpu| Failure::InterruptLost { cpu })
                );
            }
            Poll::Pending => waited = true,
        }
        if !soon(subject.platform(), SOON, || count() != before) {
            return Err(Failure::NotWoken { cpu });
        }
    }
}
