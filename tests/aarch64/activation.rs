//! ASIDs: never used anew before every CPU has dropped what it holds under them.

use crate::common::*;
use std::cell::Cell;
use tlb_shootdown::address::PageSize;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, AsidSlot, Config, odd_asid};
use tlb_shootdown::arch::{Arch, HardwareId, IdError, Reach};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;

const LOCAL_FLUSH: [Executed; 4] = [
    ("dsb nshst", None),
    ("tlbi vmalle1", None),
    ("dsb nsh", None),
    ("isb", None),
];

/// What one activation did.
struct Activation {
    asid: u64,
    fresh: bool,
    executed: Vec<Executed>,
}

fn run(machine: &Machine, cpu: u32, space: &AsidSlot) -> Activation {
    let fresh = Cell::new(false);
    let id = machine.activate(
        CpuId::new(cpu),
        space,
        &mut || fresh.set(true),
        &mut Cost::default(),
    );
    Activation {
        asid: id.expect("an ASID").0,
        fresh: fresh.get(),
        executed: machine.instructions().take(),
    }
}

fn spaces(count: usize) -> Vec<AsidSlot> {
    (0..count).map(|_| AsidSlot::default()).collect()
}

/// 8-bit ASIDs: 255 of them.
fn narrow() -> Machine {
    plain()
}

/// Uses up what is left of this generation on CPU 0, then starts the next one with `last`.
fn roll_over(machine: &Machine, others: &[AsidSlot], last: &AsidSlot) -> Activation {
    for space in others {
        assert!(run(machine, 0, space).executed.is_empty());
    }
    let activation = run(machine, 0, last);
    assert_eq!(activation.executed, LOCAL_FLUSH);
    activation
}

#[test]
fn promise_07_asids_begin_at_1_and_stay() {
    let machine = narrow();
    let [a, b] = [AsidSlot::new(), AsidSlot::new()];
    assert_eq!(machine.hardware_id(&a), None);
    let first = run(&machine, 0, &a);
    assert_eq!((first.asid, first.fresh), (1, true));
    let second = run(&machine, 0, &b);
    assert_eq!((second.asid, second.fresh), (2, true));
    for cpu in [0, 1, 0, 63] {
        let again = run(&machine, cpu, &a);
        assert_eq!((again.asid, again.fresh), (1, false));
        assert!(again.executed.is_empty());
    }
    assert_eq!(machine.hardware_id(&a), Some(HardwareId(1)));
}

#[test]
fn promise_07_rollover_flushes_each_cpu_once_and_locally() {
    let machine = narrow();
    let [a, b, last] = [AsidSlot::new(), AsidSlot::new(), AsidSlot::new()];
    run(&machine, 0, &a);
    run(&machine, 1, &b);
    let first = roll_over(&machine, &spaces(253), &last);
    assert_eq!((first.asid, first.fresh), (1, true));
    assert!(run(&machine, 0, &last).executed.is_empty());
    assert_eq!(run(&machine, 1, &b).executed, LOCAL_FLUSH);
    assert!(run(&machine, 1, &b).executed.is_empty());
    // A CPU that has not run anything yet may hold entries from before all the same.
    assert_eq!(run(&machine, 2, &b).executed, LOCAL_FLUSH);
}

#[test]
fn promise_07_what_a_cpu_runs_keeps_its_asid_through_rollovers() {
    let machine = narrow();
    let [a, b] = [AsidSlot::new(), AsidSlot::new()];
    run(&machine, 0, &a);
    let of_b = run(&machine, 1, &b).asid;
    for _ in 0..3 {
        // Far more than one generation, while CPU 1 runs `b` without switching.
        for space in spaces(600) {
            assert_ne!(run(&machine, 0, &space).asid, of_b);
        }
        assert_eq!(machine.hardware_id(&b), Some(HardwareId(of_b)));
    }
    let back = run(&machine, 1, &b);
    assert_eq!((back.asid, back.fresh), (of_b, false));
    assert_eq!(back.executed, LOCAL_FLUSH);
}

#[test]
fn promise_07_a_space_on_several_cpus_renews_every_reservation() {
    let machine = narrow();
    let shared = AsidSlot::new();
    let asid = run(&machine, 1, &shared).asid;
    run(&machine, 2, &shared);
    roll_over(&machine, &spaces(254), &AsidSlot::new());
    // CPU 1 comes back, CPU 2 does not; at the next rollover CPU 2 still runs it.
    assert_eq!(run(&machine, 1, &shared).asid, asid);
    run(&machine, 1, &AsidSlot::new());
    for space in spaces(600) {
        assert_ne!(run(&machine, 0, &space).asid, asid);
    }
    assert_eq!(run(&machine, 2, &shared).asid, asid);
}

#[test]
fn promise_07_a_space_that_nobody_runs_is_fresh_after_a_rollover() {
    let machine = narrow();
    let idle = AsidSlot::new();
    assert_eq!(run(&machine, 0, &idle).asid, 1);
    roll_over(&machine, &spaces(254), &AsidSlot::new());
    let back = run(&machine, 0, &idle);
    assert!(back.fresh);
    // Its own number has gone to the one that began the generation.
    assert_eq!(back.asid, 2);
}

/// Where the new ASID could be seen first, another CPU might run under it and be forgotten by what `fresh` resets.
#[test]
fn promise_02_fresh_comes_before_the_new_asid_is_visible() {
    let machine = narrow();
    let space = AsidSlot::new();
    let seen = |expected: Option<HardwareId>| {
        let calls = Cell::new(0);
        machine
            .activate(
                CpuId::new(0),
                &space,
                &mut || {
                    calls.set(calls.get() + 1);
                    assert_eq!(machine.hardware_id(&space), expected);
                },
                &mut Cost::default(),
            )
            .expect("an ASID");
        assert_eq!(calls.get(), 1);
    };
    seen(None);
    roll_over(&machine, &spaces(254), &AsidSlot::new());
    run(&machine, 0, &AsidSlot::new());
    seen(Some(HardwareId(1)));
    assert_ne!(machine.hardware_id(&space), Some(HardwareId(1)));
}

#[test]
fn promise_07_pairs_are_even_and_odd() {
    let machine = machine(Config::new(Granule::Kib4).kpti(), Identification::FULL);
    let mut seen = Vec::new();
    for space in spaces(127) {
        let activation = run(&machine, 0, &space);
        assert!(activation.executed.is_empty());
        seen.push(activation.asid);
    }
    let even: Vec<_> = (1..128).map(|n| n * 2).collect();
    assert_eq!(seen, even);
    assert_eq!(odd_asid(HardwareId(254)), HardwareId(255));
    assert_eq!(run(&machine, 0, &AsidSlot::new()).executed, LOCAL_FLUSH);
}

#[test]
fn promise_07_wide_asids_are_65535() {
    let config = Config::new(Granule::Kib4).wide_asids();
    let machine = machine(config, Identification::FULL);
    for (expected, space) in (1..=65535).zip(spaces(65535)) {
        let activation = run(&machine, 0, &space);
        assert_eq!(activation.asid, expected);
        assert!(activation.executed.is_empty());
    }
    assert_eq!(run(&machine, 0, &AsidSlot::new()).executed, LOCAL_FLUSH);
}

#[test]
fn promise_07_pinned_asid_outlives_generations_without_running() {
    let machine = narrow();
    let space = AsidSlot::new();
    let pinned = machine.pin(&space).expect("a pin");
    assert_eq!(machine.pin(&space), Ok(pinned));
    assert!(machine.unpin(&space));
    for other in spaces(600) {
        assert_ne!(run(&machine, 0, &other).asid, pinned.0);
    }
    let back = run(&machine, 0, &space);
    // Devices hold entries under it, so it is not fresh.
    assert_eq!((back.asid, back.fresh), (pinned.0, false));

    assert!(machine.unpin(&space));
    assert!(!machine.unpin(&space));
    let reused = spaces(600)
        .iter()
        .any(|other| run(&machine, 0, other).asid == pinned.0);
    assert!(reused);
}

#[test]
fn promise_07_pins_leave_enough_for_every_cpu() {
    let machine = narrow();
    let spaces = spaces(256);
    let pins: Vec<_> = spaces.iter().map(|space| machine.pin(space)).collect();
    // 256 less one for each of 64 CPUs and two to spare.
    let granted = pins.iter().filter(|pin| pin.is_ok()).count();
    assert_eq!(granted, 190);
    assert_eq!(pins[190], Err(IdError::Exhausted));
    for cpu in 0..64 {
        run(&machine, cpu, &AsidSlot::new());
    }
    machine.unpin(&spaces[0]);
    assert!(machine.pin(&spaces[200]).is_ok());
}

/// More CPUs than ASIDs, each running a space of its own.
#[test]
fn promise_12_exhaustion_is_an_error_and_not_a_loop() {
    let machine: Aarch64<Recorder, 4> = Aarch64::new(
        Recorder::new(Identification::PLAIN),
        Config::new(Granule::Kib4),
    );
    let spaces = spaces(256);
    let run = |cpu: u32, space| {
        let mut cost = Cost::default();
        machine.activate(CpuId::new(cpu), space, &mut || (), &mut cost)
    };
    for (cpu, space) in (0..255).zip(&spaces) {
        assert_eq!(run(cpu, space), Ok(HardwareId(u64::from(cpu) + 1)));
    }
    assert_eq!(run(255, &spaces[255]), Err(IdError::Exhausted));
    assert_eq!(machine.hardware_id(&spaces[255]), None);
    // Those that run go on under the ASIDs that they have.
    assert_eq!(run(7, &spaces[7]), Ok(HardwareId(8)));
    // And as soon as one CPU runs what another runs already, there is room.
    assert_eq!(run(9, &spaces[7]), Ok(HardwareId(8)));
    assert_eq!(run(255, &spaces[255]), Ok(HardwareId(10)));
}

#[test]
fn promise_07_unknown_cpu_is_refused() {
    let machine = narrow();
    let refused = machine.activate(
        CpuId::new(64),
        &AsidSlot::new(),
        &mut || unreachable!("nothing was assigned"),
        &mut Cost::default(),
    );
    assert_eq!(refused, Err(IdError::UnknownCpu));
}

#[test]
fn promise_07_retired_asid_is_free_at_once() {
    let machine = narrow();
    let all = spaces(255);
    for space in &all {
        run(&machine, 0, space);
    }
    machine.retire(&all[41]);
    assert_eq!(machine.hardware_id(&all[41]), None);
    let next = run(&machine, 0, &AsidSlot::new());
    assert_eq!((next.asid, next.fresh), (42, true));
    assert!(next.executed.is_empty());
}

#[test]
fn promise_07_retiring_an_old_asid_frees_nobody_elses() {
    let machine = narrow();
    let old = AsidSlot::new();
    assert_eq!(run(&machine, 0, &old).asid, 1);
    let heir = AsidSlot::new();
    assert_eq!(roll_over(&machine, &spaces(254), &heir).asid, 1);
    run(&machine, 1, &heir);
    machine.retire(&old);
    for space in spaces(300) {
        assert_ne!(run(&machine, 0, &space).asid, 1);
    }
    assert_eq!(run(&machine, 1, &heir).asid, 1);
}

#[test]
fn promise_07_retired_while_pinned_stays_taken() {
    let machine = narrow();
    let space = AsidSlot::new();
    let pinned = machine.pin(&space).expect("a pin");
    machine.retire(&space);
    for other in spaces(600) {
        assert_ne!(run(&machine, 0, &other).asid, pinned.0);
    }
    assert!(machine.unpin(&space));
    let reused = spaces(600)
        .iter()
        .any(|other| run(&machine, 0, other).asid == pinned.0);
    assert!(reused);
}

/// The ASID is read after the barrier: one that was given before it is the one in use.
#[test]
fn promise_02_flush_uses_the_asid_of_now() {
    let machine = narrow();
    let space = AsidSlot::new();
    run(&machine, 0, &space);
    roll_over(&machine, &spaces(254), &AsidSlot::new());
    run(&machine, 0, &space);
    let mut cost = Cost::ZERO;
    machine.store_barrier(Reach::Broadcast, &mut cost);
    let id = machine.hardware_id(&space).expect("it has run");
    let range = pages(0x1000, 0x1000, PageSize::KIB_4);
    machine.flush_tlb_range(id, &range, LEAF, Reach::Broadcast, &mut cost);
    assert_eq!(
        machine.instructions().take(),
        [bare("dsb ishst"), on("tlbi vale1is", 0x0002_0000_0000_0001)]
    );
}
