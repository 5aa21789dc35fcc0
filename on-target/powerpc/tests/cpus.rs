//! Which CPUs a shootdown reaches and what it costs, and which it leaves alone.
#![no_std]
#![no_main]

use on_target_powerpc as _;

#[embedded_test::tests]
mod tests {
    use on_target_powerpc::platform::{self, ENGINE, Space, bring_up};
    use on_target_powerpc::{cpus, memory, probe, process};
    use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
    use tlb_shootdown::arch::Arch as _;
    use tlb_shootdown::cost::Cost;
    use tlb_shootdown::flush::Flush;
    use tlb_shootdown_scenarios::{Access, Directory, Refusal};

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
        // SAFETY: a static tree.
        cpus::run_on(cpu, || unsafe { platform::run_space(space, TABLE.root()) })
            .expect("it may run");
    }

    /// Has CPUs 0 to `count` run the space.
    fn run_on_first(count: usize, space: &Space) {
        (0..count).for_each(|cpu| run(space, cpu));
    }

    fn read(cpu: usize) -> Access {
        cpus::run_on(cpu, || probe::read(process::address(PAGE)))
    }

    fn reads() -> [Access; cpus::COUNT] {
        core::array::from_fn(read)
    }

    fn flush_page(space: &Space) -> Cost {
        ENGINE
            .flush_page(space, page(), PageSize::KIB_4)
            .expect("every CPU answers")
    }

    #[test]
    fn promise_03_every_cpu_that_runs_the_space_is_reached() {
        let space = space();
        run_on_first(cpus::COUNT, &space);
        assert_eq!(reads(), [HELD; 4]);
        TABLE.set(PAGE, None);
        assert_eq!(reads(), [HELD; 4], "control: nothing was invalidated");
        let cost = flush_page(&space);
        assert_eq!(reads(), [GONE; 4]);
        assert_eq!(cost.ipis, 0, "the instruction reaches all");
    }

    #[test]
    fn a_space_of_one_cpu_is_flushed_on_that_cpu_alone() {
        let space = space();
        run(&space, 0);
        let pid = ENGINE.arch().hardware_id(space.hardware());
        let pid = pid.expect("it runs here").0;
        // Behind the engine's back, as no kernel may do it: whoever is not told of cannot be reached by a local flush.
        // SAFETY: a static tree.
        cpus::run_on(1, || unsafe { process::install(TABLE.root(), pid) });
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        flush_page(&space);
        assert_eq!([read(0), read(1)], [GONE, HELD], "the flush was not local");
    }

    #[test]
    fn promise_02_a_second_cpu_makes_the_flush_a_broadcast() {
        let space = space();
        run_on_first(2, &space);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        flush_page(&space);
        assert_eq!([read(0), read(1)], [GONE; 2]);
    }

    #[test]
    fn promise_03_the_old_frame_is_not_written_after_the_flush() {
        let space = space();
        run_on_first(2, &space);
        let write = |word| cpus::run_on(1, || probe::write(process::address(PAGE), word));
        assert_eq!(write(1), Access::Done(1));
        TABLE.set(PAGE, None);
        assert_eq!(
            write(2),
            Access::Done(2),
            "control: nothing was invalidated"
        );
        ENGINE.flush_space(&space).expect("every CPU answers");
        assert_eq!(write(3), GONE);
        assert_eq!(memory::word(0), 2);
    }

    /// Whoever has switched away keeps what it holds under the PID, and is reached all the same.
    #[test]
    fn promise_02_a_former_cpu_is_reached_until_it_has_let_go() {
        let space = space();
        run_on_first(2, &space);
        cpus::run_on(1, platform::run_nothing);
        let broadcasts: [_; 2] = core::array::from_fn(|_| flush_page(&space));
        assert_eq!(broadcasts.map(|cost| cost.ipis), [0, 1]);
        // It has answered the doorbell: nobody else holds anything.
        cpus::run_on(1, || ());
        assert_eq!(flush_page(&space).invalidations, 1);
        assert_eq!(space.cpus().len(), 1);
        run(&space, 1);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        flush_page(&space);
        assert_eq!([read(0), read(1)], [GONE; 2]);
    }

    #[test]
    fn promise_08_a_table_that_is_freed_is_walked_by_nobody() {
        let space = space();
        run_on_first(2, &space);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set_directory(Directory::Empty);
        assert_eq!(
            [read(0), read(1)],
            [HELD; 2],
            "control: nothing was invalidated"
        );
        let with_tables = Flush::pages(PageRange::page(page(), PageSize::KIB_4));
        ENGINE
            .flush(&space, with_tables)
            .expect("every CPU answers");
        assert_eq!([read(0), read(1)], [GONE; 2]);
    }

    #[test]
    fn promise_04_a_retired_space_is_left_by_its_lazy_cpus() {
        let space = space();
        run_on_first(2, &space);
        assert_eq!(read(1), HELD);
        cpus::run_on(0, platform::run_nothing);
        cpus::run_on(1, platform::idle);
        assert_eq!(read(1), HELD, "control: it keeps the PID");
        platform::retire(&space).expect("every CPU answers");
        // Quadrant 0 is now that of the kernel's PID, which maps nothing there.
        assert_eq!(read(1), GONE);
    }

    /// Whether they are clean then is the model's to show: QEMU drops everything where PIDR is loaded.
    #[test]
    fn pids_are_used_again_when_their_spaces_have_ended() {
        bring_up();
        TABLE.clear();
        let mut reused = 0;
        for turn in 0..600_u64 {
            let frame = turn as usize % 2;
            memory::fill(frame, turn);
            TABLE.set(PAGE, Some((memory::phys(frame), true)));
            let space = ENGINE.new_space();
            run(&space, 0);
            let pid = ENGINE.arch().hardware_id(space.hardware());
            reused += u32::from(pid.is_some_and(|pid| pid.0 == 1));
            assert_eq!(read(0), Access::Done(turn));
            platform::run_nothing();
            platform::retire(&space).expect("every CPU answers");
        }
        assert_eq!(reused, 3, "255 PIDs for 600 spaces");
    }

    /// Flushes `count` pages from the first on.
    fn cost_of(space: &Space, count: u64) -> Cost {
        let first = VirtAddr::new(process::address(0));
        let pages = PageRange::from_len(first, count * process::PAGE_SIZE, PageSize::KIB_4);
        let flush = Flush::pages(pages.expect("adjacent pages"));
        let leaves = flush.leaf_only().leaf_size(PageSize::KIB_4);
        ENGINE.flush(space, leaves).expect("every CPU answers")
    }

    #[test]
    fn beyond_33_pages_a_broadcast_is_one_by_pid() {
        let space = space();
        run_on_first(2, &space);
        let of = |count| cost_of(&space, count).invalidations - platform::mends();
        assert_eq!([of(1), of(33), of(34)], [1, 33, 1]);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        assert_eq!(
            [read(0), read(1)],
            [HELD; 2],
            "control: nothing was invalidated"
        );
        assert_eq!(of(34), 1);
        assert_eq!([read(0), read(1)], [GONE; 2]);
    }

    fn flush_another_page(space: &Space) {
        let other = VirtAddr::new(process::address(PAGE + 64));
        ENGINE
            .flush_page(space, other, PageSize::KIB_4)
            .expect("every CPU answers");
    }

    #[test]
    fn promise_11_a_local_flush_of_another_page_leaves_the_page_alone() {
        let space = space();
        run(&space, 0);
        assert_eq!(read(0), HELD);
        TABLE.set(PAGE, None);
        flush_another_page(&space);
        assert_eq!(read(0), HELD, "another page was flushed");
        flush_page(&space);
        assert_eq!(read(0), GONE);
    }

    #[test]
    fn promise_11_a_broadcast_of_another_page_leaves_the_page_alone() {
        let space = space();
        run_on_first(2, &space);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        flush_another_page(&space);
        assert_eq!([read(0), read(1)], [HELD; 2], "another page was flushed");
        flush_page(&space);
        assert_eq!([read(0), read(1)], [GONE; 2]);
    }

    #[test]
    fn every_other_cpu_answers_the_round_for_lockless_walkers() {
        bring_up();
        let cost = ENGINE.sync_lockless_walkers().expect("all CPUs answer");
        assert_eq!((cost.ipis, cost.invalidations), (3, 0));
    }
}
