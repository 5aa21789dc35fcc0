//! The defects of POWER9's `tlbie`, and the workarounds that Linux has for them.

use super::rig::*;
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::cpu::powerpc::CpuFeatures;

const ERAT: CpuFeatures = CpuFeatures {
    store_queue_defect: false,
    ..CpuFeatures::POWER9
};
const QUEUES: CpuFeatures = CpuFeatures {
    erat_defect: false,
    ..CpuFeatures::POWER9
};
/// The last 4 KiB of 52 bits, as a page of 64 KiB.
const UNUSED: u64 = 0xf_ffff_ffff_f000 | AP_64K;

/// After unmapping, `tlbie` of VA, and this before the closing sequence: whether the other CPU's ERAT still has the page.
fn erat_keeps_after(repair: impl Fn(&Rig)) -> bool {
    let rig = Rig::new(ERAT);
    rig.unmap();
    rig.on.tlbie_ric0_prs1(VA, RS);
    repair(&rig);
    rig.close();
    rig.model.returned(rig.tables.root(), VA, VA | 0xfff);
    let keeps = rig.holds_stale(1);
    assert_eq!(rig.uses(1)[0], keeps);
    keeps
}

#[test]
fn the_erat_keeps_its_entry_unless_ptesync_and_pid_0_follow() {
    assert!(erat_keeps_after(|_| {}));
    // Without the PTESYNC between, and of a PID that is not 0.
    assert!(erat_keeps_after(|rig| rig.on.tlbie_ric0_prs1(VA, 0)));
    assert!(erat_keeps_after(|rig| {
        rig.on.ptesync();
        rig.on.tlbie_ric0_prs1(VA, RS);
    }));
    // Of another page.
    assert!(erat_keeps_after(|rig| {
        rig.on.ptesync();
        rig.on.tlbie_ric0_prs1(NEXT, 0);
    }));
    for operand in [VA, BY_PID] {
        assert!(!erat_keeps_after(|rig| {
            rig.on.ptesync();
            rig.on.tlbie_ric0_prs1(operand, 0);
        }));
    }
}

#[test]
fn the_workaround_for_the_erat_comes_before_the_closing_sequence() {
    let rig = Rig::new(ERAT);
    rig.unmap();
    rig.on.tlbie_ric0_prs1(VA, RS);
    rig.close();
    rig.on.tlbie_ric0_prs1(VA, 0);
    rig.close();
    assert!(rig.uses(1)[0]);
}

/// Two CPUs, a store translated on the other, the page unmapped, `tlbie` of it and this: whether the store is still on its way.
fn store_waits_after(operand: u64, repair: impl Fn(&Rig)) -> bool {
    let rig = Rig::new(QUEUES);
    rig.cpus[1].write_later(VA, 7).unwrap();
    let frame = rig.tables.unmap(0, VA).unwrap();
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(operand, RS);
    repair(&rig);
    rig.close();
    rig.returned();
    let waits = rig.model.peek(frame) != 7;
    assert_eq!(rig.holds_stale(1), waits);
    waits
}

#[test]
fn stores_stay_queued_unless_ptesync_and_the_pid_follow() {
    assert!(store_waits_after(VA, |_| {}));
    assert!(store_waits_after(VA, |rig| rig.on.tlbie_ric0_prs1(VA, RS)));
    assert!(store_waits_after(VA, |rig| {
        rig.on.ptesync();
        rig.on.tlbie_ric0_prs1(VA, 0);
    }));
    for (first, second) in [(VA, VA), (BY_PID, UNUSED)] {
        assert!(!store_waits_after(first, |rig| {
            rig.on.ptesync();
            rig.on.tlbie_ric0_prs1(second, RS);
        }));
    }
}

#[test]
fn both_workarounds_are_three_tlbies_and_four_ptesyncs() {
    let rig = Rig::new(CpuFeatures::POWER9);
    rig.touch();
    rig.cpus[1].write_later(VA, 7).unwrap();
    rig.tables.unmap(0, VA);
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(VA, RS);
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(VA, 0);
    rig.on.ptesync();
    rig.on.tlbie_ric0_prs1(VA, RS);
    rig.close();
    rig.returned();
    assert_eq!(rig.violations(), []);
    let counts = rig.model.take_counts();
    assert_eq!(counts.tlbis, 3);
    assert_eq!((counts.store_barriers, counts.completion_barriers), (1, 3));
}
