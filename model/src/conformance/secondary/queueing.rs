//! Queueing and sealing: what costs nothing, what is full, what is odd.

use super::Port;
use crate::conformance::cpus::Check;
use crate::conformance::entry::PAGES;
use crate::conformance::failure::Failure;
use crate::conformance::passed::Passed;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::secondary::{AttachKey, Fence, Invalidation};

pub(super) fn check(port: &Port<'_>, passed: &mut Passed) -> Check {
    empty_seals(port)?;
    odd_ones(port)?;
    let filled = full(port)?;
    // Constant needs, no doorbell in a queue, one in a seal, none in an empty seal, its fence, odd requests.
    passed.checks += 6;
    // Nothing queued where it is full, and room again.
    passed.note(filled);
    passed.note(filled);
    Ok(())
}

/// With nothing ever queued, and with everything sealed.
fn empty_seals(port: &Port<'_>) -> Check {
    port.needs()?;
    let mut fence = empty_seal(port)?;
    port.wait(&mut fence)?;
    port.queue_at_last(&port.change(port.page(0)))?;
    let mut fence = port.seal()?;
    let sealed = fence.sequence;
    port.wait(&mut fence)?;
    for _ in 0..2 {
        let mut again = empty_seal(port)?;
        let given = again.sequence;
        if sealed != given {
            return Err(Failure::EmptySealIsNew { sealed, given });
        }
        port.wait_again(&mut again)?;
    }
    Ok(())
}

fn empty_seal(port: &Port<'_>) -> Result<Fence, Failure> {
    let (fence, cost) = port.seal_counted()?;
    if (cost.commands, cost.syncs, cost.doorbells) == (0, 0, 0) {
        Ok(fence)
    } else {
        Err(Failure::EmptySealSubmits)
    }
}

/// Keys of nobody, everything, sizes that no entry has, the ends of the address space: all of it is accepted, none of it panics.
fn odd_ones(port: &Port<'_>) -> Check {
    let whole = PageRange::from_len(VirtAddr::new(0), 1 << 46, PageSize::GIB_1);
    let sizes = [
        PageSize::KIB_4,
        PageSize::KIB_16,
        PageSize::KIB_64,
        PageSize::MIB_2,
        PageSize::MIB_32,
        PageSize::MIB_512,
        PageSize::GIB_1,
    ];
    let at = port.pages().first();
    let of_sizes = sizes.into_iter().flat_map(|size| {
        let pages = Flush::pages(PageRange::page(at, size));
        [Flush::page(at, size), pages, pages.leaf_only()]
    });
    let others = [
        Flush::all(),
        Flush::pages(port.pages()),
        Flush::pages(whole.unwrap_or(port.pages())).leaf_only(),
        Flush::page(VirtAddr::new(0), port.size()),
    ];
    let keys = [
        port.key,
        AttachKey(port.key.0 ^ 1 << 40),
        AttachKey(u64::MAX),
    ];
    for flush in of_sizes.chain(others) {
        for key in keys {
            port.queue_at_last(&Invalidation::Space { key, flush })?;
        }
        port.wait(&mut port.seal()?)?;
    }
    port.queue_at_last(&Invalidation::KernelTables)?;
    port.wait(&mut port.seal()?)
}

/// Queued without a seal until there is no room. Whether that came to pass.
fn full(port: &Port<'_>) -> Result<bool, Failure> {
    for number in 0..port.bounds.room {
        let one = port.page(number as usize % PAGES);
        if port.queue(&port.change(one))?.is_err() {
            port.wait(&mut port.seal()?)?;
            // Empty now: a try or two, and no more.
            port.queue_at_last(&port.change(one))?;
            port.wait(&mut port.seal()?)?;
            return Ok(true);
        }
    }
    port.wait(&mut port.seal()?)?;
    Ok(false)
}
