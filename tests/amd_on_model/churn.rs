//! Random changes to several processes, several shootdowns open at a time, on random machines.

use crate::rig::{KINDS, Process, Rig, pages};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::amd::AmdOptions;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

/// Bit 3 of the second word is reserved in INVALIDATE_IOMMU_PAGES (3) and INVALIDATE_IOTLB_PAGES (4).
const RESERVED: [u64; 2] = [0, 1 << 3];

const PAGES: u64 = 8;

/// Breaks one page, and makes it anew once the old one is gone everywhere; or leaves it broken.
fn change(rig: &Rig, process: &Process, n: u64, make: bool) -> Option<u64> {
    let page = process.page(n);
    let _ = process.device.read(page);
    let old = process.tables.unmap(0, page);
    if make {
        let frame = rig.model.allocate(0x1000);
        rig.flush(process, n, 1);
        let fresh = Mapping::page(frame, Rights::ReadWrite);
        process.tables.map(0, page, fresh);
        rig.publish();
        rig.returned(process, n, 1);
    }
    old
}

fn churn(temper: Temper, seed: u64, options: AmdOptions, disturb: bool) {
    let rig = Rig::with(temper, options);
    let mut device = 0;
    let processes = KINDS.map(|kind| {
        device += 1;
        rig.process(device, kind, PAGES)
    });
    let mut state = seed | 1;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    for _ in 0..40 {
        let mut open = Vec::new();
        for _ in 0..=draw(3) {
            let process = &processes[draw(KINDS.len() as u64) as usize];
            let n = draw(PAGES);
            let old = change(&rig, process, n, draw(2) == 0);
            if disturb && draw(8) == 0 {
                rig.port.spoil_next(3 + draw(2) as u8, RESERVED);
            }
            if disturb && draw(8) == 0 {
                rig.port.abort_next_fetch();
            }
            let flush = pages(process, n, 1);
            open.push((
                process,
                n,
                old,
                rig.engine.start(&process.space, flush).unwrap(),
            ));
        }
        for (process, n, old, ticket) in open {
            assert!(ticket.wait().is_ok(), "{temper:?} {seed}");
            rig.returned(process, n, 1);
            if let Some(old) = old {
                rig.model.free(old);
            }
            let _ = process.device.read(process.page(n));
        }
        rig.assert_clean((temper, seed));
    }
}

#[test]
fn promise_03_nothing_stale_is_used_or_held_under_churn() {
    let plain = AmdOptions::default();
    let late_events = AmdOptions {
        event_tail_first: true,
        ..plain
    };
    for options in [plain, late_events] {
        churn(Temper::Late, 1, options, false);
        for seed in 1..8 {
            churn(Temper::Seeded(seed), seed, options, false);
        }
    }
}

#[test]
fn promise_05_nothing_is_lost_under_churn_with_errors() {
    let plain = AmdOptions::default();
    churn(Temper::Late, 1, plain, true);
    for seed in 1..12 {
        churn(Temper::Seeded(seed), seed, plain, true);
    }
}
