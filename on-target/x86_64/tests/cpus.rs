//! Which CPUs a shootdown reaches and what it costs, and which it leaves alone.
#![no_std]
#![no_main]

use on_target_x86_64 as _;

#[embedded_test::tests]
mod tests {
    use core::arch::asm;

    use on_target_x86_64::platform::{self, ENGINE, Space, bring_up};
    use on_target_x86_64::{cpus, memory, probe, process};
    use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
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
        map();
        memory::fill(0, 0xabc);
        ENGINE.new_space()
    }

    fn map() {
        TABLE.set(PAGE, Some((memory::phys(0), true)));
    }

    fn run(space: &Space, cpu: usize) {
        // SAFETY: a static table.
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
        assert_eq!((cost.ipis, cost.invalidations), (3, 1));
    }

    #[test]
    fn a_space_of_one_cpu_is_flushed_on_that_cpu_alone() {
        let space = space();
        run(&space, 0);
        // Behind the engine's back, as no kernel may do it: whoever is not told of cannot be reached.
        // SAFETY: a static table.
        cpus::run_on(1, || unsafe { process::install(TABLE.root(), 0) });
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        let cost = flush_page(&space);
        assert_eq!([read(0), read(1)], [GONE, HELD], "the flush was not local");
        assert_eq!(cost.ipis, 0);
    }

    #[test]
    fn promise_02_a_second_cpu_is_asked() {
        let space = space();
        run(&space, 0);
        assert_eq!(flush_page(&space).ipis, 0);
        run(&space, 1);
        assert_eq!([read(0), read(1)], [HELD; 2]);
        TABLE.set(PAGE, None);
        assert_eq!(flush_page(&space).ipis, 1);
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

    #[test]
    fn promise_02_a_cpu_that_runs_another_space_is_not_asked_and_misses_nothing() {
        static OTHER: process::PageTable = process::PageTable::new();
        let space = space();
        let other = ENGINE.new_space();
        OTHER.clear();
        run_on_first(3, &space);
        assert_eq!([read(1), read(2)], [HELD; 2]);
        // SAFETY: a static table.
        cpus::run_on(2, || unsafe { platform::run_space(&other, OTHER.root()) })
            .expect("it may run");
        TABLE.set(PAGE, None);
        assert_eq!(flush_page(&space).ipis, 1, "CPU 1 alone runs it");
        run(&space, 2);
        assert_eq!([read(1), read(2)], [GONE; 2]);
    }

    #[test]
    fn promise_02_a_lazy_cpu_is_left_alone_and_catches_up_when_it_wakes() {
        let space = space();
        run_on_first(3, &space);
        assert_eq!([read(0), read(1), read(2)], [HELD; 3]);
        cpus::run_on(2, platform::idle);
        TABLE.set(PAGE, None);
        assert_eq!(flush_page(&space).ipis, 1, "the lazy CPU was asked");
        // No kernel may look while it is lazy; here it shows that nobody invalidated.
        assert_eq!([read(1), read(2)], [GONE, HELD]);
        run(&space, 2);
        assert_eq!(read(2), GONE);
    }

    #[test]
    fn promise_08_a_lazy_cpu_leaves_the_root_when_tables_are_freed() {
        let space = space();
        run_on_first(3, &space);
        assert_eq!(read(2), HELD);
        cpus::run_on(2, platform::idle);
        assert!(runs_the_table(2));
        TABLE.set_directory(Directory::Empty);
        let with_tables = Flush::pages(PageRange::page(page(), PageSize::KIB_4));
        let cost = ENGINE
            .flush(&space, with_tables)
            .expect("every CPU answers");
        assert_eq!(cost.ipis, 2, "its walker might read the freed table");
        assert_eq!([read(0), read(1)], [GONE; 2]);
        assert!(!runs_the_table(2));
        TABLE.set_directory(Directory::Table);
        run(&space, 2);
        assert_eq!(read(2), HELD);
    }

    fn runs_the_table(cpu: usize) -> bool {
        cpus::run_on(cpu, || {
            let root: u64;
            // SAFETY: reads a register.
            unsafe { asm!("mov {}, cr3", out(reg) root, options(nomem, nostack, preserves_flags)) };
            root == TABLE.root()
        })
    }

    #[test]
    fn promise_04_a_retired_space_is_left_by_its_lazy_cpus() {
        let space = space();
        run_on_first(2, &space);
        cpus::run_on(0, platform::run_nothing);
        cpus::run_on(1, platform::idle);
        assert!(runs_the_table(1));
        let ticket = ENGINE.retire(&space).expect("it is alive");
        ticket.wait().expect("every CPU answers");
        assert!(!runs_the_table(1));
    }

    /// Unmaps `count` pages from the first on and flushes them once.
    fn cost_of(space: &Space, count: u64) -> Cost {
        let first = VirtAddr::new(process::address(0));
        let pages = PageRange::from_len(first, count * process::PAGE_SIZE, PageSize::KIB_4);
        let flush = Flush::pages(pages.expect("adjacent pages")).leaf_only();
        ENGINE.flush(space, flush).expect("every CPU answers")
    }

    #[test]
    fn a_batch_is_one_round_and_beyond_33_pages_one_full_flush() {
        let space = space();
        run_on_first(cpus::COUNT, &space);
        let of = |count| {
            let cost = cost_of(&space, count);
            (cost.ipis, cost.invalidations)
        };
        assert_eq!(of(1), (3, 1));
        assert_eq!(of(33), (3, 33));
        assert_eq!(of(34), (3, 1));
        assert_eq!(reads(), [HELD; 4]);
        TABLE.set(PAGE, None);
        assert_eq!(reads(), [HELD; 4], "control: nothing was invalidated");
        assert_eq!(of(34), (3, 1));
        assert_eq!(reads(), [GONE; 4]);
    }

    #[test]
    fn every_other_cpu_answers_the_round_for_lockless_walkers() {
        bring_up();
        let cost = ENGINE.sync_lockless_walkers().expect("all CPUs answer");
        assert_eq!((cost.ipis, cost.invalidations), (3, 0));
    }
}
