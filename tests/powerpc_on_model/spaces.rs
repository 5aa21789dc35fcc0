//! What becomes of spaces: alone, shared, let go, borrowed, ended.

use crate::faulty::Defect;
use crate::random_kernel::{self, CPUS, Half, How, Machine as _, Op, SPACES};
use crate::rig::{Parts, Rig};
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, Role};
use tlb_shootdown_model::platform::IpiScript;

type Kernel = random_kernel::Kernel<Rig>;

const HALF: Half = Half::User(0);

fn kernel_with(defect: Defect) -> Kernel {
    let parts = Parts {
        cpus: CPUS,
        defect,
        ..Parts::new(CpuFeatures::POWER10, Temper::Late)
    };
    Kernel::new(Rig::new(parts), false)
}

fn kernel() -> Kernel {
    kernel_with(Defect::None)
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
    let how = How::Tight;
    kernel.apply(Op::Flush { half: HALF, how });
}

fn run(kernel: &mut Kernel, cpu: usize, space: usize) {
    kernel.apply(Op::Switch { cpu, space });
    kernel.apply(Op::Touch { cpu });
}

/// `tlbiel` where the space runs here alone, `tlbie` once another CPU has run it.
#[test]
fn promise_03_a_space_of_one_cpu_is_flushed_there() {
    let mut kernel = kernel();
    map(&mut kernel, HALF);
    run(&mut kernel, 0, 0);
    run(&mut kernel, 1, 1);
    change(&mut kernel, 0);
    let held = kernel.rig.cpu(1).held();
    let cost = kernel.last_cost();
    assert_eq!((cost.invalidations, cost.ipis), (1, 0));
    map(&mut kernel, HALF);
    run(&mut kernel, 1, 0);
    assert!(kernel.rig.cpu(1).held() > held);
    change(&mut kernel, 0);
    assert_eq!(kernel.last_cost().invalidations, 1);
}

/// A guest's hypervisor drops the page that has changed, whatever size it may have had, and not its neighbours.
#[test]
fn promise_11_a_guests_page_takes_no_other_along() {
    let features = CpuFeatures {
        role: Role::GuestWithoutTlbie,
        ..CpuFeatures::POWER10
    };
    let parts = Parts {
        cpus: CPUS,
        ..Parts::new(features, Temper::Late)
    };
    let mut kernel = Kernel::new(Rig::new(parts), false);
    map(&mut kernel, HALF);
    run(&mut kernel, 0, 0);
    run(&mut kernel, 1, 0);
    let (half, page) = (HALF, 0);
    kernel.apply(Op::Unmap { half, page });
    let how = How::Loose;
    kernel.apply(Op::Flush { half, how });
    // Walk caches go as well.
    assert_eq!(kernel.rig.cpu(1).held(), 1);
    assert_eq!(kernel.last_cost().escalations, 0);
}

/// The same where it is thought to run here alone, and does not: the machine must object.
#[test]
#[should_panic(expected = "HeldStale")]
fn promise_03_a_broadcast_left_out_is_noticed() {
    let mut kernel = kernel_with(Defect::NoTlbie);
    map(&mut kernel, HALF);
    run(&mut kernel, 0, 0);
    run(&mut kernel, 1, 0);
    change(&mut kernel, 0);
}

/// A CPU that is elsewhere keeps its entries, which broadcasts reach, until it is asked to let go; flushes are local from then on.
#[test]
fn promise_02_former_cpus_are_asked_to_let_go() {
    let mut kernel = kernel();
    map(&mut kernel, HALF);
    run(&mut kernel, 1, 0);
    run(&mut kernel, 1, 1);
    run(&mut kernel, 0, 0);
    let pid = 1;
    // The second broadcast that meets nobody is followed by the question.
    for (page, lets_go) in [(0, false), (1, true)] {
        kernel.apply(Op::Touch { cpu: 0 });
        change(&mut kernel, page);
        kernel.rig.take_interrupts();
        assert_eq!(kernel.rig.cpu(1).held_under(pid) == 0, lets_go);
    }
    // What it reads when it comes back is new.
    map(&mut kernel, HALF);
    run(&mut kernel, 1, 0);
    change(&mut kernel, 0);
}

/// A CPU that came back after it had let go holds entries again, and is no less reached than before while it is asked anew.
#[test]
fn promise_02_who_came_back_is_no_longer_gone() {
    let mut kernel = kernel();
    let leave_entries = |kernel: &mut Kernel| {
        map(kernel, HALF);
        run(kernel, 1, 0);
        run(kernel, 1, 1);
    };
    leave_entries(&mut kernel);
    run(&mut kernel, 0, 0);
    change(&mut kernel, 0);
    change(&mut kernel, 1);
    kernel.rig.take_interrupts();
    assert_eq!(kernel.rig.cpu(1).held_under(1), 0);
    leave_entries(&mut kernel);
    // From here on it does not answer.
    kernel.rig.platform.script_ipis(1, IpiScript::Lose);
    for page in [2, 3, 4, 5] {
        let (half, writable) = (HALF, true);
        kernel.apply(Op::Map {
            half,
            page,
            writable,
        });
    }
    run(&mut kernel, 1, 0);
    run(&mut kernel, 1, 1);
    for page in [2, 3, 4, 5, 0, 1] {
        change(&mut kernel, page);
    }
}

/// A CPU that borrows the PID is reached by broadcasts like any other, and left only when the space ends.
#[test]
fn promise_08_a_lazy_cpu_is_reached_where_it_is() {
    let mut kernel = kernel();
    map(&mut kernel, HALF);
    run(&mut kernel, 1, 0);
    kernel.apply(Op::Lazy { cpu: 1 });
    let table = 0;
    kernel.apply(Op::UnmapTable { half: HALF, table });
    let how = How::Tight;
    kernel.apply(Op::Flush { half: HALF, how });
    assert!(kernel.runs_something(1));
    kernel.apply(Op::Retire { space: 0 });
    assert!(!kernel.runs_something(1));
}

/// Seven PIDs for 40 spaces, one after the other: whoever gets one anew finds nothing of its former owner.
#[test]
fn promise_07_a_pid_changes_hands_clean() {
    for role in [Role::Hypervisor, Role::Guest, Role::GuestWithoutTlbie] {
        for features in [CpuFeatures::POWER9, CpuFeatures::POWER10] {
            let parts = Parts {
                cpus: CPUS,
                ..Parts::new(features.as_a(role), Temper::Late)
            };
            let mut kernel = Kernel::new(Rig::new(parts), false);
            for round in 0..40 {
                let space = round % SPACES;
                map(&mut kernel, Half::User(space));
                (0..CPUS).for_each(|cpu| run(&mut kernel, cpu, space));
                kernel.apply(Op::Retire { space });
            }
        }
    }
}

/// The same where RIC 2 does not make the process table be read again.
#[test]
#[should_panic(expected = "ReusedDirty")]
fn promise_07_a_root_that_is_remembered_is_noticed() {
    let mut kernel = kernel_with(Defect::KeepsProcessTable);
    for round in 0..40 {
        let space = round % SPACES;
        map(&mut kernel, Half::User(space));
        (0..CPUS).for_each(|cpu| run(&mut kernel, cpu, space));
        kernel.apply(Op::Retire { space });
    }
}
