//! Which CPUs a shootdown reaches, and which it leaves alone.
#![no_std]
#![no_main]

use on_target_aarch64 as _;

#[embedded_test::tests]
mod tests {
    use on_target_aarch64::platform::{self, Arch, ENGINE, Engine, Kernel, Space, bring_up};
    use on_target_aarch64::{cpus, memory, probe, process};
    use tlb_shootdown::address::{PageSize, VirtAddr};
    use tlb_shootdown::arch::Arch as _;
    use tlb_shootdown::arch::aarch64::Config;
    use tlb_shootdown::arch::aarch64::granule::Granule;
    use tlb_shootdown::arch::aarch64::instructions::Asm;
    use tlb_shootdown_scenarios::{Access, Refusal};

    static TABLE: process::PageTable = process::PageTable::new();
    const PAGE: usize = 3;
    const HELD: Access = Access::Done(0xabc);
    const GONE: Access = Access::Refused(Refusal::Translation);

    fn page() -> VirtAddr {
        VirtAddr::new(process::address(PAGE))
    }

    /// A space with one page that holds the word 0xabc.
    fn space() -> Space {
        bring_up();
        TABLE.clear();
        TABLE.set(PAGE, Some((memory::phys(0), true)));
        memory::fill(0, 0xabc);
        ENGINE.new_space()
    }

    fn run(space: &Space, cpu: usize) {
        // SAFETY: a static table.
        cpus::run_on(cpu, || unsafe { platform::run_space(space, TABLE.root()) })
            .expect("an identifier");
    }

    fn read(cpu: usize) -> Access {
        cpus::run_on(cpu, || probe::read(process::address(PAGE)))
    }

    #[test]
    fn promise_03_every_cpu_that_runs_the_space_is_reached() {
        let space = space();
        (0..cpus::COUNT).for_each(|cpu| run(&space, cpu));
        assert!((0..cpus::COUNT).all(|cpu| read(cpu) == HELD));
        TABLE.set(PAGE, None);
        assert!(
            (0..cpus::COUNT).all(|cpu| read(cpu) == HELD),
            "control: nothing was invalidated"
        );
        ENGINE
            .flush_page(&space, page(), PageSize::KIB_4)
            .expect("no CPU is left out");
        assert!((0..cpus::COUNT).all(|cpu| read(cpu) == GONE));
    }

    #[test]
    fn a_space_of_one_cpu_is_flushed_on_that_cpu_alone() {
        let space = space();
        run(&space, 0);
        let asid = ENGINE
            .arch()
            .hardware_id(space.hardware())
            .expect("it runs here");
        // Behind the engine's back, as no kernel may do it: whoever is not told of cannot be reached by a local flush.
        // SAFETY: a static table.
        cpus::run_on(1, || unsafe { process::install(TABLE.root(), asid.0) });
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        ENGINE
            .flush_page(&space, page(), PageSize::KIB_4)
            .expect("no CPU is left out");
        assert_eq!([read(0), read(1)], [GONE, HELD], "the flush was not local");
    }

    #[test]
    fn promise_02_a_second_cpu_makes_the_flush_a_broadcast() {
        let space = space();
        run(&space, 0);
        run(&space, 1);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        ENGINE
            .flush_page(&space, page(), PageSize::KIB_4)
            .expect("no CPU is left out");
        assert_eq!([read(0), read(1)], [GONE; 2]);
    }

    #[test]
    fn promise_03_the_old_frame_is_not_written_after_the_flush() {
        let space = space();
        run(&space, 0);
        run(&space, 1);
        let write = |word| cpus::run_on(1, || probe::write(process::address(PAGE), word));
        assert_eq!(write(1), Access::Done(1));
        TABLE.set(PAGE, None);
        assert_eq!(
            write(2),
            Access::Done(2),
            "control: nothing was invalidated"
        );
        ENGINE.flush_space(&space).expect("no CPU is left out");
        assert_eq!(write(3), GONE);
        assert_eq!(memory::word(0), 2);
    }

    #[test]
    fn every_other_cpu_answers_the_round_for_lockless_walkers() {
        bring_up();
        let cost = ENGINE.sync_lockless_walkers().expect("all CPUs answer");
        assert_eq!((cost.ipis, cost.invalidations), (3, 0));
    }

    /// An engine with ASIDs of 8 bits, so that they run out.
    static SMALL: Engine = Engine::new(Kernel, Arch::new(Asm, Config::new(Granule::Kib4)));

    #[test]
    fn identifiers_begin_anew_when_they_run_out() {
        bring_up();
        SMALL.cpu_online().expect("the only CPU of this engine");
        TABLE.clear();
        let mut generations = 0;
        for turn in 0..600_u64 {
            let frame = turn as usize % 2;
            memory::fill(frame, turn);
            TABLE.set(PAGE, Some((memory::phys(frame), true)));
            // Dropped without being retired: it keeps its identifier.
            let space = SMALL.new_space();
            let id = SMALL.switch_to(&space).expect("an identifier");
            assert!((1..256).contains(&id.0), "ASID {}", id.0);
            generations += u32::from(id.0 == 1);
            // SAFETY: a static table.
            unsafe { process::install(TABLE.root(), id.0) };
            assert_eq!(
                probe::read(process::address(PAGE)),
                Access::Done(turn),
                "ASID {}",
                id.0
            );
        }
        assert_eq!(generations, 3, "255 identifiers for 600 spaces");
    }
}
