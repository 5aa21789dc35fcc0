//! H_RPT_INVALIDATE: only what its arguments name goes.

use super::rig::*;
use tlb_shootdown::arch::powerpc::hypervisor::{Hypervisor, HypervisorError, RptInvalidate};
use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::cpu::Fault;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelHypervisor, Role};

/// Translations of PID 5, all pages, all threads.
const EVERYTHING: RptInvalidate = RptInvalidate {
    pid: 5,
    target: 1,
    kind: 2,
    page_sizes: u64::MAX,
    start: 0,
    end: u64::MAX,
};
const PAGE: RptInvalidate = RptInvalidate {
    page_sizes: 1,
    start: VA,
    end: NEXT,
    ..EVERYTHING
};

fn rig() -> (Rig, ModelHypervisor) {
    let rig = Rig::new(CpuFeatures::POWER9.as_a(Role::GuestWithoutTlbie));
    let hypervisor = ModelHypervisor::new(rig.model.clone());
    (rig, hypervisor)
}

fn after(call: RptInvalidate) -> [[bool; 4]; 2] {
    let (rig, hypervisor) = rig();
    rig.unmap();
    assert_eq!(hypervisor.rpt_invalidate(&call), Ok(()));
    assert_eq!(rig.model.take_counts().hypercalls, 1);
    [rig.uses(0), rig.uses(1)]
}

#[test]
fn only_the_range_the_size_the_process_and_the_threads_named_go() {
    assert_eq!(after(EVERYTHING), [[false, false, false, true]; 2]);
    assert_eq!(after(PAGE), [[false, true, true, true]; 2]);
    let both = RptInvalidate {
        end: NEXT + 1,
        ..PAGE
    };
    assert_eq!(after(both), [[false, false, true, true]; 2]);
    for page_sizes in [2, 4, 8] {
        let other = RptInvalidate { page_sizes, ..PAGE };
        assert_eq!(after(other), [[true; 4]; 2]);
    }
    let large = RptInvalidate {
        page_sizes: 4,
        start: HUGE,
        end: HUGE + 0x1000,
        ..PAGE
    };
    assert_eq!(after(large), [[true, true, false, true]; 2]);
    // From the middle of a page a step of its size misses the last.
    let askew = RptInvalidate {
        start: VA + 0x800,
        end: NEXT + 0x400,
        ..PAGE
    };
    assert_eq!(after(askew), [[false, true, true, true]; 2]);
    let kernel = RptInvalidate {
        pid: 0,
        ..EVERYTHING
    };
    assert_eq!(after(kernel), [[true, true, true, false]; 2]);
    let here = RptInvalidate { target: 2, ..PAGE };
    assert_eq!(after(here), [[false, true, true, true], [true; 4]]);
    let nest = RptInvalidate { target: 4, ..PAGE };
    assert_eq!(after(nest), [[true; 4]; 2]);
}

#[test]
fn page_walk_caches_go_where_they_are_named() {
    let (rig, hypervisor) = rig();
    rig.touch();
    rig.tables.unhang_table(0, VA);
    rig.on.ptesync();
    assert_eq!(hypervisor.rpt_invalidate(&EVERYTHING), Ok(()));
    assert!(rig.cpus[1].read(VA).is_ok());
    let walks = RptInvalidate {
        kind: 6,
        ..EVERYTHING
    };
    assert_eq!(hypervisor.rpt_invalidate(&walks), Ok(()));
    assert_eq!(rig.cpus[1].read(VA), Err(Fault::Translation));
}

/// Kind 4 is page-walk caches and nothing else, kind 8 process-table entries.
#[test]
fn kinds_that_are_not_named_stay() {
    for kind in [4, 8, 12] {
        let other = RptInvalidate { kind, ..EVERYTHING };
        assert_eq!(after(other), [[true; 4]; 2]);
    }
    for (kind, begins_anew) in [(6, false), (14, true)] {
        let (rig, hypervisor) = rig();
        rig.touch();
        let other = rig.model.radix_tables();
        let call = RptInvalidate { kind, ..EVERYTHING };
        assert_eq!(hypervisor.rpt_invalidate(&call), Ok(()));
        rig.cpus[1].load(other.root(), PID.into());
        assert_eq!(rig.cpus[1].read(VA).is_err(), begins_anew);
    }
}

#[test]
fn the_callers_stores_are_its_own_to_make_visible() {
    let (rig, hypervisor) = rig();
    rig.touch();
    rig.tables.unmap(0, VA);
    assert_eq!(hypervisor.rpt_invalidate(&PAGE), Ok(()));
    rig.on.ptesync();
    assert!(rig.uses(1)[0]);
}

#[test]
fn the_defects_of_tlbie_are_its_business() {
    let (rig, hypervisor) = rig();
    rig.cpus[1].write_later(VA, 7).unwrap();
    rig.tables.unmap(0, VA);
    rig.on.ptesync();
    assert_eq!(hypervisor.rpt_invalidate(&PAGE), Ok(()));
    rig.returned();
    assert_eq!(rig.violations(), []);
}

#[test]
fn wrong_arguments_and_scripted_answers_do_nothing() {
    let (rig, hypervisor) = rig();
    rig.unmap();
    let refused = |call, status| {
        let error = HypervisorError::Refused(status);
        assert_eq!(hypervisor.rpt_invalidate(&call), Err(error));
    };
    refused(RptInvalidate { target: 0, ..PAGE }, -55);
    refused(RptInvalidate { target: 8, ..PAGE }, -55);
    refused(RptInvalidate { kind: 0, ..PAGE }, -56);
    refused(RptInvalidate { kind: 3, ..PAGE }, -56);
    let no_size = RptInvalidate {
        page_sizes: 0,
        ..PAGE
    };
    refused(no_size, -57);
    refused(RptInvalidate { end: VA, ..PAGE }, -58);
    let script = [HypervisorError::Busy, HypervisorError::Refused(-1)];
    hypervisor.fail_next(&script);
    for error in script {
        assert_eq!(hypervisor.rpt_invalidate(&EVERYTHING), Err(error));
    }
    assert_eq!(rig.uses(0), [true; 4]);
    assert_eq!(rig.model.take_counts().hypercalls, 8);
    assert_eq!(hypervisor.rpt_invalidate(&EVERYTHING), Ok(()));
    assert_eq!(rig.uses(0), [false, false, false, true]);
}
