//! What becomes of spaces: remembered, borrowed, promoted, ended.

use crate::faulty::Defect;
use crate::random_kernel::{self, CPUS, Half, How, Machine as _, Op, SPACES};
use crate::rig::{Parts, Rig};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::x86_64::CpuFeatures;

type Kernel = random_kernel::Kernel<Rig>;

const HALF: Half = Half::User(0);

fn kernel(features: CpuFeatures) -> Kernel {
    let parts = Parts {
        cpus: CPUS,
        slots: 2,
        ..Parts::new(features, Temper::Late)
    };
    Kernel::new(Rig::new(parts), false)
}

fn map(kernel: &mut Kernel, half: Half) {
    for page in 0..2 {
        let writable = true;
        kernel.apply(Op::Map {
            half,
            page,
            writable,
        });
    }
}

fn change(kernel: &mut Kernel, page: u64) {
    kernel.apply(Op::Unmap { half: HALF, page });
    kernel.apply(Op::Flush {
        half: HALF,
        how: How::Tight,
    });
}

/// Four CPUs run the space, and have read all of it.
fn crowd(kernel: &mut Kernel) {
    for cpu in 0..CPUS {
        kernel.apply(Op::Switch { cpu, space: 0 });
        kernel.apply(Op::Touch { cpu });
    }
}

/// Two identifiers for four spaces: whoever gets one anew finds nothing of its former owner.
#[test]
fn promise_07_an_identifier_changes_hands_clean() {
    let mut kernel = kernel(CpuFeatures::PLAIN);
    (0..SPACES).for_each(|space| map(&mut kernel, Half::User(space)));
    for round in 0..24 {
        let space = round * 3 % SPACES;
        kernel.apply(Op::Switch { cpu: 1, space });
        kernel.apply(Op::Touch { cpu: 1 });
    }
}

/// A space that comes back keeps what it has, unless it was changed meanwhile: then all of it goes.
#[test]
fn promise_02_who_was_elsewhere_catches_up() {
    let mut kernel = kernel(CpuFeatures::PLAIN);
    (0..2).for_each(|space| map(&mut kernel, Half::User(space)));
    let switch = |kernel: &mut Kernel, space| {
        let cpu = 1;
        kernel.apply(Op::Switch { cpu, space });
        let held = kernel.rig.cpu(cpu).held();
        kernel.apply(Op::Touch { cpu });
        held
    };
    switch(&mut kernel, 0);
    switch(&mut kernel, 1);
    // Two pages of each; the faults on those that are not mapped have dropped the tables.
    assert_eq!(switch(&mut kernel, 0), 4);
    switch(&mut kernel, 1);
    change(&mut kernel, 0);
    assert_eq!(switch(&mut kernel, 0), 2);
}

/// A borrowed root is left when tables are freed, and only then.
#[test]
fn promise_08_a_lazy_cpu_is_told_of_freed_tables() {
    let mut kernel = kernel(CpuFeatures::PLAIN);
    map(&mut kernel, HALF);
    kernel.apply(Op::Switch { cpu: 1, space: 0 });
    kernel.apply(Op::Touch { cpu: 1 });
    kernel.apply(Op::Lazy { cpu: 1 });
    change(&mut kernel, 0);
    assert!(kernel.runs_something(1));
    let table = 0;
    kernel.apply(Op::UnmapTable { half: HALF, table });
    kernel.apply(Op::Flush {
        half: HALF,
        how: How::Tight,
    });
    assert!(!kernel.runs_something(1));
}

/// The first flush that asks three others gives the identifier, the second finds all under it, the third interrupts nobody.
#[test]
fn promise_03_a_crowded_space_is_flushed_by_broadcast() {
    let mut kernel = kernel(CpuFeatures::BROADCASTS);
    crowd(&mut kernel);
    for ipis in [3, 3, 0, 0] {
        kernel.apply(Op::Map {
            half: HALF,
            page: 0,
            writable: false,
        });
        (0..CPUS).for_each(|cpu| kernel.apply(Op::Touch { cpu }));
        change(&mut kernel, 0);
        assert_eq!(kernel.last_cost().ipis, ipis);
    }
    // One page, one instruction, one TLBSYNC.
    let cost = kernel.last_cost();
    assert_eq!((cost.invalidations, cost.completion_barriers), (1, 1));
}

/// The same where INVLPGB names another identifier: the machine must object.
#[test]
#[should_panic(expected = "HeldStale")]
fn promise_03_a_wrong_broadcast_is_noticed() {
    let parts = Parts {
        cpus: CPUS,
        defect: Defect::WrongBroadcast,
        ..Parts::new(CpuFeatures::BROADCASTS, Temper::Late)
    };
    let mut kernel = Kernel::new(Rig::new(parts), false);
    for _ in 0..4 {
        map(&mut kernel, HALF);
        crowd(&mut kernel);
        change(&mut kernel, 0);
    }
}

/// The identifiers of ended spaces, a slot's or a common one, serve new ones.
#[test]
fn promise_07_ended_spaces_leave_nothing_behind() {
    for features in [CpuFeatures::PLAIN, CpuFeatures::BROADCASTS] {
        let mut kernel = kernel(features);
        for _ in 0..4 {
            for _ in 0..4 {
                map(&mut kernel, HALF);
                crowd(&mut kernel);
                change(&mut kernel, 0);
            }
            kernel.apply(Op::Lazy { cpu: 2 });
            kernel.apply(Op::Retire { space: 0 });
        }
    }
}
