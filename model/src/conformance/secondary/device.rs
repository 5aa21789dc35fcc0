//! What the fences vouch for, as a device sees it.

use super::{Port, check_together_around};
use crate::conformance::cpus::Check;
use crate::conformance::entry::{Entry, Frame, PAGES, Window, finds};
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use core::sync::atomic::{AtomicUsize, Ordering};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::Needs;

const OLD: Entry = Entry::ReadWrite(Frame::First);

/// How often several CPUs flush at once.
const ROUNDS: usize = 2;

pub(super) fn check(port: &Port<'_>, passed: &mut Passed) -> Check {
    // A snooper's IOMMU TLB is the CPUs' to invalidate, which nobody does here.
    let is_told = !port.needs()?.contains(Needs::SNOOPS_BROADCASTS);
    let device = port.surroundings.device().filter(|_| is_told);
    // Unmapped pages, narrowed and widened rights, what was queued before an older fence.
    (0..4).for_each(|_| passed.note(device.is_some()));
    let Some(device) = device else {
        // Nor what several CPUs flush at once.
        passed.note(false);
        return Ok(());
    };
    for flush in [Flush::pages(port.pages()), Flush::all()] {
        let new = |page| device.store(page, Entry::Nothing);
        change(port, device, OLD, new, flush, passed)?;
        look(device, 0..PAGES, Entry::Nothing, false)?;
    }
    narrowed(port, device, passed)?;
    widened(port, device, passed)?;
    not_overtaken(port, device)?;
    passed.note(at_once(port, device)?);
    Ok(())
}

/// Old entries that the device holds, new ones by `store`, first without the flush and then with it.
fn change(
    port: &Port<'_>,
    device: &dyn Window,
    old: Entry,
    store: impl Fn(usize),
    flush: Flush,
    passed: &mut Passed,
) -> Check {
    prepare(port, device, old)?;
    (0..PAGES).for_each(&store);
    for page in 0..PAGES {
        passed.controls += 1;
        passed.stale += u32::from(device.read(page) == Some(Frame::First.word()));
    }
    port.flush(flush)
}

fn narrowed(port: &Port<'_>, device: &dyn Window, passed: &mut Passed) -> Check {
    let new = Entry::ReadOnly(Frame::First);
    prepare(port, device, OLD)?;
    device.store(0, new);
    passed.controls += 1;
    passed.stale += u32::from(device.write(0));
    port.flush(port.page(0))?;
    look(device, 0..1, new, true)
}

fn widened(port: &Port<'_>, device: &dyn Window, passed: &mut Passed) -> Check {
    let needs = port.needs()?;
    if needs.contains(Needs::BREAKS_UPGRADES) {
        return Ok(());
    }
    prepare(port, device, Entry::ReadOnly(Frame::First))?;
    device.store(0, OLD);
    // Whoever does not need to be told walks anew.
    if needs.contains(Needs::UPGRADES) {
        passed.controls += 1;
        passed.stale += u32::from(!device.write(0));
        port.flush(port.page(0))?;
    }
    look(device, 0..1, OLD, true)
}

/// Two submissions, of which only the later is waited for.
fn not_overtaken(port: &Port<'_>, device: &dyn Window) -> Check {
    prepare(port, device, OLD)?;
    for page in 0..2 {
        device.store(page, Entry::Nothing);
    }
    port.queue_at_last(&port.change(port.page(0)))?;
    let mut earlier = port.seal()?;
    port.queue_at_last(&port.change(port.page(1)))?;
    port.wait(&mut port.seal()?)?;
    for page in [1, 0] {
        let overtaken = Failure::Overtaken { page };
        finds(device, page, Entry::Nothing, false)
            .then_some(())
            .ok_or(overtaken)?;
    }
    port.wait(&mut earlier)
}

/// Several CPUs flush at once, a page each until all are: one's seal may close what another has queued, and loses none of it. Whether they
/// could.
fn at_once(port: &Port<'_>, device: &dyn Window) -> Result<bool, Failure> {
    for _ in 0..ROUNDS {
        prepare(port, device, OLD)?;
        (0..PAGES).for_each(|page| device.store(page, Entry::Nothing));
        let next = AtomicUsize::new(0);
        let together = check_together_around(port.surroundings, || {
            while let page @ 0..PAGES = next.fetch_add(1, Ordering::Relaxed) {
                port.flush(port.page(page))?;
            }
            Ok(())
        })?;
        if !together {
            return Ok(false);
        }
        look(device, 0..PAGES, Entry::Nothing, false)?;
    }
    Ok(true)
}

/// Stores these entries, by way of none, and lets the device use them.
pub(super) fn prepare(port: &Port<'_>, device: &dyn Window, entry: Entry) -> Check {
    for entry in [Entry::Nothing, entry] {
        (0..PAGES).for_each(|page| device.store(page, entry));
        port.flush(Flush::all())?;
    }
    match (0..PAGES).find(|&page| !finds(device, page, entry, true)) {
        Some(page) => Err(Failure::DeviceUnprepared { page }),
        None => Ok(()),
    }
}

fn look(
    device: &dyn Window,
    mut pages: core::ops::Range<usize>,
    entry: Entry,
    with_rights: bool,
) -> Check {
    match pages.find(|&page| !finds(device, page, entry, with_rights)) {
        Some(page) => Err(Failure::DeviceStale { page }),
        None => Ok(()),
    }
}
