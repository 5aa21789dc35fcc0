//! Kernel mappings, and everything at once.

use crate::common::*;
use tlb_shootdown::address::{PageRange, PageSize, RangeError, VirtAddr};
use tlb_shootdown::arch::x86_64::Config;
use tlb_shootdown::error::Refused;
use tlb_shootdown::flush::Flush;

const KERNEL: u64 = 0xffff_8000_0000_0000;

/// CPUs 0 and 1 run a space each and remember another; CPU 0 flushes these kernel mappings. What each executes.
fn flush(config: Config, cpu: Identification, flush: Flush) -> (Vec<Executed>, Vec<Executed>) {
    let world = World::new(config, cpu, 2);
    let spaces = [world.space(), world.space(), world.space()];
    for (cpu, space) in [(0, 0), (0, 1), (1, 0), (1, 2)] {
        world.run(cpu, &spaces[space]);
    }
    world.on(0);
    world.take();
    let ticket = world.engine.start_kernel(flush).unwrap();
    let own = world.take();
    assert_eq!(world.ipis(), [[1]]);
    let others = world.serve(1);
    world.on(0);
    ticket.wait().unwrap();
    (own, others)
}

/// Global entries go with INVLPG whatever the identifier (Intel SDM Vol 3A 4.10.4.1).
#[test]
fn promise_03_kernel_pages_are_dropped_one_by_one_on_every_cpu() {
    let (own, others) = flush(Config::new(), Identification::FULL, leaves(KERNEL, 2));
    assert_eq!(own, [MFENCE, invlpg(KERNEL), invlpg(KERNEL + 0x1000)]);
    assert_eq!(others, own[1..]);
}

#[test]
fn promise_11_kernel_ranges_have_the_same_ceiling() {
    let full = Identification::FULL;
    assert_eq!(flush(Config::new(), full, leaves(KERNEL, 33)).0.len(), 34);
    let (own, others) = flush(Config::new(), full, leaves(KERNEL, 34));
    assert_eq!(own, [MFENCE, invpcid(2, 0, 0)]);
    assert_eq!(others, [invpcid(2, 0, 0)]);
}

/// A table of the kernel half is in the walk caches of every identifier, and INVLPG reaches those of one.
#[test]
fn promise_08_freed_kernel_tables_are_a_full_flush() {
    let (own, _) = flush(Config::new(), Identification::FULL, tables(KERNEL, 1));
    assert_eq!(own, [MFENCE, invpcid(2, 0, 0)]);
}

/// CR4 is 0x200a0: PCIDE, PGE, PAE. Clearing PGE and setting it again drops everything under every identifier.
#[test]
fn promise_03_everything_without_invpcid_toggles_cr4_pge() {
    let (own, others) = flush(Config::new(), Identification::NO_INVPCID, Flush::all());
    assert_eq!(own, [MFENCE, cr4(0x2_0020), cr4(0x2_00a0)]);
    assert_eq!(others, own[1..]);
}

/// Where the kernel does not use global pages but does use identifiers, PGE is set for a moment, to the same effect.
#[test]
fn promise_03_everything_toggles_cr4_pge_from_either_side() {
    let no_global = Identification {
        cr4: 0x2_0020,
        ..Identification::NO_INVPCID
    };
    let (own, _) = flush(Config::new(), no_global, Flush::all());
    assert_eq!(own, [MFENCE, cr4(0x2_00a0), cr4(0x2_0020)]);
}

/// With one identifier and no global page there is nothing that loading the root does not drop.
#[test]
fn promise_03_everything_on_a_plain_cpu_reloads_the_root() {
    let (own, others) = flush(Config::new(), Identification::PLAIN, Flush::all());
    assert_eq!(own, [MFENCE, cr3(0x0020_2000)]);
    assert_eq!(others, [cr3(0x0020_3000)]);
    let (own, _) = flush(Config::new(), Identification::PLAIN, tables(KERNEL, 1));
    assert_eq!(own, [MFENCE, invlpg(KERNEL)]);
}

/// Entries that are not global stay in the TLB under every other identifier, which may then not be kept.
#[test]
fn promise_03_kernel_pages_that_are_not_global_make_other_identifiers_unclean() {
    let no_global = Identification {
        cr4: 0x2_0020,
        ..Identification::FULL
    };
    let world = World::new(Config::new(), no_global, 1);
    let [a, b] = [world.space(), world.space()];
    world.run(0, &a);
    world.run(0, &b);
    assert_eq!(world.run(0, &a), 1 | KEEP);
    let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
    assert_eq!(executed, [MFENCE, invlpg(KERNEL)]);
    assert_eq!(world.run(0, &b) & KEEP, 0);
    // With global pages nothing of the kind.
    let world = World::new(Config::new(), Identification::FULL, 1);
    let [a, b] = [world.space(), world.space()];
    world.run(0, &a);
    world.run(0, &b);
    world.flush_kernel(leaves(KERNEL, 1));
    assert_eq!(world.run(0, &a), 1 | KEEP);
}

/// Alder Lake, Alder Lake-L, Alder Lake-N, Raptor Lake, Raptor Lake-P and -S: 0x97, 0x9a, 0xbe, 0xb7, 0xba, 0xbf of family 6. INVLPG may
/// leave global entries there while PCIDs are enabled (Linux ce0b15d11ad8), so kernel pages go with everything else.
#[test]
fn promise_03_kernel_pages_are_not_left_to_an_invlpg_that_misses_global_entries() {
    for signature in [0x9_0672, 0x9_06a3, 0xb_06e0, 0xb_0671, 0xb_06a2, 0xb_06f2] {
        let affected = Identification {
            leaf_1_eax: signature,
            ..Identification::FULL
        };
        let (own, others) = flush(Config::new(), affected, leaves(KERNEL, 1));
        assert_eq!(own, [MFENCE, invpcid(2, 0, 0)], "{signature:x}");
        assert_eq!(others, own[1..]);
        let world = World::unsealed(Config::new(), affected, 1);
        let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
        assert_eq!(executed, [MFENCE, cr4(0x2_0020), cr4(0x2_00a0)]);
        // Pages of a process are not global.
        let space = world.space();
        world.run(0, &space);
        assert_eq!(
            world.flush(&space, page(0x5000)).0,
            [MFENCE, invlpg(0x5000)]
        );
        // Without identifiers, or under a hypervisor, it does what it should.
        let spared = [
            Identification {
                cr4: 0xa0,
                ..affected
            },
            Identification {
                leaf_1_ecx: 1 << 31,
                ..affected
            },
        ];
        for cpu in spared {
            let (own, _) = flush(Config::new(), cpu, leaves(KERNEL, 1));
            assert_eq!(own, [MFENCE, invlpg(KERNEL)]);
        }
    }
    // Skylake, Meteor Lake, and family 0x1a with a model of the same number.
    for signature in [0x5_06e3, 0xa_06a4, 0xb9_0f72] {
        let other = Identification {
            leaf_1_eax: signature,
            ..Identification::FULL
        };
        let (own, _) = flush(Config::new(), other, leaves(KERNEL, 1));
        assert_eq!(own, [MFENCE, invlpg(KERNEL)], "{signature:x}");
    }
}

/// An erratum is the union: a CPU that comes late is not refused for it, and it applies before that CPU runs.
#[test]
fn promise_03_late_cpu_whose_invlpg_misses_global_entries_flushes_everything() {
    let world = one();
    world.recorder().identify_as(Identification {
        leaf_1_eax: 0x9_0672,
        ..Identification::FULL
    });
    // Another one changes nothing.
    for cpu in [1, 2] {
        world.on(cpu);
        world.engine.cpu_online().expect("nothing is missing");
        let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
        assert_eq!(executed, [MFENCE, invpcid(2, 0, 0)]);
    }
}

#[test]
fn promise_03_every_cpu_may_have_the_erratum() {
    let affected = Identification {
        leaf_1_eax: 0x9_0672,
        ..Identification::FULL
    };
    for cpus in [1, 2, 3] {
        let world = World::new(Config::new(), affected, cpus);
        let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
        assert_eq!(executed, [MFENCE, invpcid(2, 0, 0)], "{cpus} CPUs");
    }
}

/// The root to come may be loaded with bit 63, as it was said before the flush: nothing may be left for it to keep.
#[test]
fn promise_03_kernel_flush_in_the_middle_of_a_switch_drops_everything() {
    let no_global = Identification {
        cr4: 0x2_0020,
        ..Identification::FULL
    };
    let world = World::new(Config::new(), no_global, 1);
    let [a, b] = [world.space(), world.space()];
    world.run(0, &a);
    world.run(0, &b);
    assert_eq!(world.engine.switch_to(&a).unwrap().0, 1 | KEEP);
    let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
    assert_eq!(executed, [MFENCE, invpcid(2, 0, 0)]);
}

/// 47 bits and their sign without LA57, 56 with it (Intel SDM Vol 1 3.3.7.1).
#[test]
fn promise_03_addresses_that_are_not_canonical_are_refused() {
    let at = |start| Flush::pages(PageRange::page(VirtAddr::new(start), PageSize::KIB_4));
    let la57 = Identification {
        cr4: 0x2_10a0,
        ..Identification::FULL
    };
    let narrow = World::new(Config::new(), Identification::FULL, 1);
    let wide = World::new(Config::new().la57(), la57, 1);
    let cases = [
        (&narrow, 0x0000_7fff_ffff_f000, 0x0000_8000_0000_0000),
        (&wide, 0x00ff_ffff_ffff_f000, 0x0100_0000_0000_0000),
    ];
    let refused = Some(Refused::Range(RangeError::NonCanonical));
    for (world, last, beyond) in cases {
        let space = world.space();
        assert!(world.engine.start(&space, at(last)).is_ok());
        assert_eq!(world.engine.start(&space, at(beyond)).err(), refused);
        let negative = |addr: u64| at(!addr & !0xfff);
        assert!(world.engine.start_kernel(negative(last)).is_ok());
        assert_eq!(world.engine.start_kernel(negative(beyond)).err(), refused);
        // And each half has functions of its own.
        assert_eq!(world.engine.start_kernel(at(last)).err(), refused);
        assert_eq!(world.engine.start(&space, negative(last)).err(), refused);
        // Of a range both ends count.
        let across = |first| Flush::pages(kib4(first, 2));
        assert_eq!(world.engine.start(&space, across(last)).err(), refused);
        let below = !last & !0xfff;
        let into_the_half = world
            .engine
            .start_kernel(across(below.wrapping_sub(0x1000)));
        assert_eq!(into_the_half.err(), refused);
    }
}
