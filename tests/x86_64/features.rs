//! Features: what all CPUs have and have enabled, and what becomes of a CPU that has less.

use crate::common::*;
use tlb_shootdown::arch::JoinError;
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::flush::Flush;

const FULL: Identification = Identification::FULL;
const BROADCASTS: Identification = Identification::BROADCASTS;

fn late(world: &World, cpu: Identification) -> Result<(), JoinError> {
    world.recorder().identify_as(cpu);
    world.on(7);
    world.engine.cpu_online()
}

#[test]
fn promise_03_nothing_optional_is_used_before_the_features_are_sealed() {
    let world = World::unsealed(Config::new(), BROADCASTS, 1);
    let [a, b] = [world.space(), world.space()];
    for space in [&a, &b, &a] {
        assert_eq!(world.run(0, space), 0);
    }
    let (executed, _) = world.flush_kernel(Flush::all());
    assert_eq!(executed, [MFENCE, cr4(0x2_0020), cr4(0x2_00a0)]);
    assert!(!world.engine.arch().uses_broadcasts());
    late(&world, Identification::PLAIN).expect("nothing is in use yet");
}

/// What ran before under PCID 0 goes on, and gets an identifier when it next runs.
#[test]
fn promise_07_space_that_ran_before_the_seal_starts_clean_under_its_identifier() {
    let world = World::unsealed(Config::new(), FULL, 1);
    let space = world.space();
    assert_eq!(world.run(0, &space), 0);
    world.engine.arch().seal_features();
    let (executed, _) = world.flush(&space, Flush::all());
    assert_eq!(executed, [MFENCE, cr3(0x0020_1000)]);
    assert_eq!(world.run(0, &space) & 0xfff, 1);
}

#[test]
fn promise_11_features_are_the_intersection() {
    let world = World::unsealed(Config::new(), BROADCASTS, 2);
    let fewer = Identification {
        leaf_8000_0008_edx: 1,
        ..BROADCASTS
    };
    late(&world, fewer).unwrap();
    world.engine.arch().seal_features();
    let (executed, _) = world.flush_kernel(leaves(0xffff_8000_0000_0000, 3));
    let counts: Vec<_> = executed.iter().map(|(_, operands)| operands[1]).collect();
    assert_eq!(counts, [0, 1, 0, 0]);
    let mixed = World::unsealed(Config::new(), BROADCASTS, 1);
    late(&mixed, FULL).unwrap();
    mixed.engine.arch().seal_features();
    assert!(!mixed.engine.arch().uses_broadcasts());
}

/// Sealed twice, or joined by a CPU of the same kind: what is in use stays in use.
#[test]
fn promise_02_features_in_use_stay_in_use() {
    let world = World::new(Config::new(), BROADCASTS, 1);
    world.engine.arch().seal_features();
    late(&world, BROADCASTS).expect("the same count");
    assert!(world.engine.arch().uses_broadcasts());
}

/// EDX tells the count of an instruction that EBX says there is not.
#[test]
fn promise_03_count_without_the_instruction_is_none() {
    let without = Identification {
        leaf_8000_0008_ebx: !(1 << 3),
        ..BROADCASTS
    };
    let world = World::new(Config::new(), without, 1);
    assert!(!world.engine.arch().uses_broadcasts());
}

/// Of what the late CPU lacks, that is named which the others use.
#[test]
fn promise_02_refusal_names_what_is_in_use() {
    let global_alone = Identification { cr4: 0xa0, ..FULL };
    let world = World::new(Config::new(), global_alone, 1);
    let neither = Identification { cr4: 0x20, ..FULL };
    assert_eq!(
        late(&world, neither),
        Err(JoinError::MissingFeature("CR4.PGE"))
    );
}

#[test]
fn promise_02_late_cpu_without_a_feature_in_use_is_refused() {
    let cases = [
        (
            Identification {
                cr4: 0xa0,
                ..BROADCASTS
            },
            "CR4.PCIDE",
        ),
        (
            Identification {
                cr4: 0x2_0020,
                ..BROADCASTS
            },
            "CR4.PGE",
        ),
        (
            Identification {
                leaf_7_ebx: 0,
                ..BROADCASTS
            },
            "INVPCID",
        ),
        (
            Identification {
                highest: 6,
                ..BROADCASTS
            },
            "INVPCID",
        ),
        (FULL, "INVLPGB"),
        (
            Identification {
                highest_extended: 0x8000_0007,
                ..BROADCASTS
            },
            "INVLPGB",
        ),
        (
            Identification {
                leaf_8000_0008_edx: 6,
                ..BROADCASTS
            },
            "the INVLPGB count",
        ),
    ];
    for (cpu, lacks) in cases {
        let world = World::new(Config::new(), BROADCASTS, 1);
        assert_eq!(late(&world, cpu), Err(JoinError::MissingFeature(lacks)));
        // And nothing has changed for the others.
        assert!(world.engine.arch().uses_broadcasts());
    }
}

#[test]
fn promise_02_late_cpu_with_more_features_is_welcome() {
    let world = World::new(Config::new(), Identification::PLAIN, 1);
    late(&world, BROADCASTS).expect("nothing is missing");
    let world = World::new(Config::new().without_broadcasts(), BROADCASTS, 1);
    late(&world, FULL).expect("broadcasts are not in use");
}

/// Broadcasts under an identifier need identifiers, and INVPCID to clean up after them.
#[test]
fn promise_03_broadcasts_need_pcids_and_invpcid() {
    let cases = [
        Identification {
            cr4: 0xa0,
            ..BROADCASTS
        },
        Identification {
            leaf_7_ebx: 0,
            ..BROADCASTS
        },
    ];
    for cpu in cases {
        let world = World::new(Config::new(), cpu, 2);
        assert!(!world.engine.arch().uses_broadcasts());
    }
}

#[test]
fn promise_02_cpu_without_la57_is_refused_where_addresses_have_57_bits() {
    let world = World::unsealed(Config::new().la57(), FULL, 0);
    let refused = Err(JoinError::MissingFeature("CR4.LA57"));
    assert_eq!(late(&world, FULL), refused);
    let wide = Identification {
        cr4: 0x2_10a0,
        ..FULL
    };
    late(&world, wide).unwrap();
}

#[test]
fn promise_03_sealed_without_cpus_uses_nothing() {
    let world = World::new(Config::new(), BROADCASTS, 0);
    assert!(!world.engine.arch().uses_broadcasts());
    late(&world, BROADCASTS).expect("nothing is in use");
    assert_eq!(world.run(7, &world.space()), 0);
}

#[test]
fn promise_02_cpu_beyond_the_capacity_is_refused() {
    let world = one();
    world.on(64);
    assert_eq!(world.engine.cpu_online(), Err(JoinError::UnknownCpu));
}
