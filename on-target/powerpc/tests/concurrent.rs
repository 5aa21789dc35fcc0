//! Several CPUs at a time: who flushes at once, who comes and goes, and who does not answer a doorbell.
#![no_std]
#![no_main]

use on_target_powerpc as _;

#[embedded_test::tests]
mod tests {
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use on_target_powerpc::platform::{self, ENGINE, Space, bring_up};
    use on_target_powerpc::{clock, cpus, interrupts, memory, probe, process};
    use tlb_shootdown::address::{PageSize, VirtAddr};
    use tlb_shootdown::cpu_set::CpuId;
    use tlb_shootdown::error::FlushError;
    use tlb_shootdown::flush::Flush;
    use tlb_shootdown_scenarios::{Access, Refusal};

    static TABLE: process::PageTable = process::PageTable::new();
    const PAGE: usize = 3;
    const HELD: Access = Access::Done(0xabc);
    const GONE: Access = Access::Refused(Refusal::Translation);

    /// A space that all CPUs run, with one page that holds the word 0xabc.
    fn space() -> Space {
        bring_up();
        TABLE.clear();
        TABLE.set(PAGE, Some((memory::phys(0), true)));
        memory::fill(0, 0xabc);
        let space = ENGINE.new_space();
        (0..cpus::COUNT).for_each(|cpu| cpus::run_on(cpu, || run(&space)));
        space
    }

    fn run(space: &Space) {
        // SAFETY: a static tree.
        unsafe { platform::run_space(space, TABLE.root()) }.expect("it may run");
    }

    fn page(number: usize) -> Flush {
        Flush::page(VirtAddr::new(process::address(number)), PageSize::KIB_4)
    }

    fn read() -> Access {
        probe::read(process::address(PAGE))
    }

    /// Unmaps the page, which every CPU has used, and looks whether a flush reaches all of them.
    fn a_flush_still_reaches_everybody(space: &Space) {
        let all = |seen| (0..cpus::COUNT).all(|cpu| cpus::run_on(cpu, read) == seen);
        assert!(all(HELD));
        TABLE.set(PAGE, None);
        assert!(all(HELD), "control: nothing was invalidated");
        ENGINE.flush(space, page(PAGE)).expect("every CPU answers");
        assert!(all(GONE));
    }

    #[test]
    fn promise_06_four_cpus_flush_at_once() {
        let space = space();
        let before = ENGINE.stats();
        cpus::run_everywhere(|cpu| {
            for _ in 0..100 {
                ENGINE
                    .flush(&space, page(cpu + 8))
                    .expect("everybody answers");
            }
        });
        assert_eq!(ENGINE.stats().completed - before.completed, 400);
        a_flush_still_reaches_everybody(&space);
    }

    /// Every CPU asks all others, with interrupts off: whoever waits serves.
    #[test]
    fn promise_06_four_cpus_ask_each_other_with_interrupts_off() {
        bring_up();
        let begun = AtomicU32::new(0);
        cpus::run_everywhere(|_| {
            let _off = interrupts::off();
            begun.fetch_add(1, Ordering::SeqCst);
            // Nobody is alone at the beginning.
            while begun.load(Ordering::SeqCst) < cpus::COUNT as u32 {
                clock::relax();
                ENGINE.poll();
            }
            for _ in 0..100 {
                let cost = ENGINE
                    .sync_lockless_walkers()
                    .expect("whoever waits serves the others");
                assert!(cost.ipis <= 3);
            }
        });
    }

    /// What memory holds that has been given back.
    const FREED: u64 = 0xdead;

    /// Enough of them that one stays freed for a while.
    const FRAMES: usize = 8;

    /// Moves the page from frame to frame, and takes every frame that it has left for something else.
    fn move_about(space: &Space, rounds: u64) {
        for round in 1..=rounds {
            let [new, old] = [round, round - 1].map(|frame| frame as usize % FRAMES);
            memory::fill(new, round);
            TABLE.set(PAGE, Some((memory::phys(new), true)));
            ENGINE.flush(space, page(PAGE)).expect("every CPU answers");
            memory::fill(old, FREED);
        }
    }

    fn assert_reads_nothing_freed() {
        assert_ne!(
            read(),
            Access::Done(FREED),
            "an entry has outlived its flush"
        );
        clock::relax();
    }

    #[test]
    fn promise_02_a_cpu_that_comes_and_goes_misses_nothing() {
        let space = space();
        let moved = AtomicBool::new(false);
        let visits = AtomicU32::new(0);
        cpus::run_everywhere(|cpu| match cpu {
            0 => {
                move_about(&space, 500);
                moved.store(true, Ordering::SeqCst);
            }
            3 => {
                while !moved.load(Ordering::SeqCst) {
                    run(&space);
                    // Long enough to be reached while it is here.
                    (0..20).for_each(|_| assert_reads_nothing_freed());
                    platform::run_nothing();
                    ENGINE.cpu_offline();
                    clock::relax();
                    ENGINE.cpu_online().expect("it was here before");
                    visits.fetch_add(1, Ordering::SeqCst);
                }
            }
            _ => {
                while !moved.load(Ordering::SeqCst) {
                    assert_reads_nothing_freed();
                }
            }
        });
        assert!(
            visits.into_inner() > 10,
            "it came and went while others flushed"
        );
    }

    /// Whether the check of the test above can fail: nobody is asked, and somebody reads what has been given back.
    #[test]
    fn control_without_a_flush_an_entry_outlives_its_frame() {
        let _space = space();
        assert_eq!(cpus::run_on(1, read), HELD);
        TABLE.set(PAGE, Some((memory::phys(1), true)));
        memory::fill(0, FREED);
        assert_eq!(cpus::run_on(1, read), Access::Done(FREED));
    }

    /// Has CPU 2 take no interrupt while CPU 0 does `work`.
    fn while_cpu_2_is_deaf(work: impl Fn() + Sync) {
        let deaf = AtomicBool::new(false);
        let done = AtomicBool::new(false);
        let spin_until = |what: &AtomicBool| {
            while !what.load(Ordering::SeqCst) {
                clock::relax();
            }
        };
        cpus::run_everywhere(|cpu| match cpu {
            0 => {
                spin_until(&deaf);
                work();
                done.store(true, Ordering::SeqCst);
            }
            2 => {
                let _off = interrupts::off();
                deaf.store(true, Ordering::SeqCst);
                spin_until(&done);
            }
            _ => {}
        });
    }

    #[test]
    fn promise_04_a_cpu_that_does_not_answer_is_named_and_answers_later() {
        bring_up();
        while_cpu_2_is_deaf(|| match ENGINE.sync_lockless_walkers() {
            Err(FlushError::Incomplete(error)) => {
                assert!(error.cpus.contains(CpuId::new(2)));
                assert_eq!(error.cpus.len(), 1, "somebody else is accused: {error}");
            }
            other => panic!("it has not answered, and the round gave {other:?}"),
        });
        cpus::run_on(2, || ());
        ENGINE
            .sync_lockless_walkers()
            .expect("every CPU answers again");
    }

    /// A broadcast asks nobody: it is complete although a CPU takes no interrupt.
    #[test]
    fn promise_03_a_cpu_without_interrupts_is_reached() {
        let space = space();
        assert_eq!(cpus::run_on(2, read), HELD);
        while_cpu_2_is_deaf(|| {
            TABLE.set(PAGE, None);
            ENGINE
                .flush(&space, page(PAGE))
                .expect("nobody has to answer");
        });
        assert_eq!(cpus::run_on(2, read), GONE);
    }
}
