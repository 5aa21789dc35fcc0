//! Several CPUs at a time: who flushes each other, who comes and goes, and who does not answer.
#![no_std]
#![no_main]

use on_target_x86_64 as _;

#[embedded_test::tests]
mod tests {
    use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    use on_target_x86_64::platform::{self, ENGINE, Kernel, Space, WORDS, bring_up};
    use on_target_x86_64::{clock, cpus, interrupts, memory, probe, process};
    use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
    use tlb_shootdown::cpu_set::{CpuId, CpuSet};
    use tlb_shootdown::error::{FlushError, Incomplete};
    use tlb_shootdown::flush::Flush;
    use tlb_shootdown::platform::Platform as _;
    use tlb_shootdown::ticket::{FrameSink, Frames, Item};
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
        // SAFETY: a static table.
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

    /// Has the first `count` CPUs flush each other, each `rounds` times and with interrupts off all the while.
    fn flush_each_other(space: &Space, count: usize, rounds: u32) {
        let before = ENGINE.stats();
        let begun = AtomicU32::new(0);
        cpus::run_everywhere(|cpu| {
            if cpu >= count {
                return;
            }
            let _off = interrupts::off();
            begun.fetch_add(1, Ordering::SeqCst);
            // Nobody is alone at the beginning.
            while begun.load(Ordering::SeqCst) < count as u32 {
                clock::relax();
                ENGINE.poll();
            }
            for _ in 0..rounds {
                let cost = ENGINE
                    .flush(space, page(cpu + 8))
                    .expect("whoever waits serves the others");
                assert!(cost.ipis <= 3);
            }
        });
        let completed = ENGINE.stats().completed - before.completed;
        assert_eq!(completed, u64::from(rounds) * count as u64);
    }

    #[test]
    fn promise_06_two_cpus_flush_each_other_with_interrupts_off() {
        let space = space();
        flush_each_other(&space, 2, 1_000);
        a_flush_still_reaches_everybody(&space);
    }

    #[test]
    fn promise_06_four_cpus_flush_each_other_with_interrupts_off() {
        let space = space();
        flush_each_other(&space, 4, 300);
        a_flush_still_reaches_everybody(&space);
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
                    // Long enough to be asked while it is here.
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

    /// Counts what comes back.
    struct Sink(AtomicU32);

    impl FrameSink<WORDS> for Sink {
        fn release_frame(&self, _base: PhysAddr, _size: PageSize) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }

        fn release_table(&self, _base: PhysAddr) {}

        fn quarantine(&self, _items: &[Item], error: &Incomplete<WORDS>) {
            panic!("the ticket is waited for in the end: {error}");
        }
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

    fn assert_names_cpu_2(error: &Incomplete<WORDS>) {
        assert!(error.cpus.contains(CpuId::new(2)));
        assert_eq!(error.cpus.len(), 1, "somebody else is accused: {error}");
    }

    #[test]
    fn promise_04_a_cpu_that_never_answers_is_named_and_nothing_is_freed() {
        let space = space();
        assert_eq!(cpus::run_on(2, read), HELD);
        let sink = Sink(AtomicU32::new(0));
        let freed = || sink.0.load(Ordering::SeqCst);
        while_cpu_2_is_deaf(|| {
            TABLE.set(PAGE, None);
            match ENGINE.flush(&space, page(8)) {
                Err(FlushError::Incomplete(error)) => assert_names_cpu_2(&error),
                other => panic!("it has not answered, and the flush gave {other:?}"),
            }
            let mut frames = Frames::inline::<1>(&sink);
            let base = PhysAddr::new(memory::phys(0));
            let size = PageSize::KIB_4;
            frames
                .push(Item::Frame { base, size })
                .expect("room for one");
            let ticket = ENGINE.start(&space, page(PAGE)).expect("it is alive");
            let unfinished = match ticket.holding(frames).wait() {
                Err(unfinished) => unfinished,
                Ok(_) => panic!("it has not answered"),
            };
            assert_names_cpu_2(&unfinished.error);
            assert_eq!(freed(), 0, "the frame may still be in use");
            // A second interrupt, which it takes no more than the first, and then an NMI.
            let mut ticket = unfinished.ticket;
            ticket.escalate();
            assert!(ticket.poll().is_pending());
            ticket.escalate();
            ticket.wait().expect("an NMI is always taken");
            assert_eq!(freed(), 1);
        });
        assert_eq!(cpus::run_on(2, read), GONE);
    }

    #[test]
    fn promise_05_interrupts_without_a_request_answer_for_nobody() {
        let space = space();
        assert_eq!(cpus::run_on(2, read), HELD);
        while_cpu_2_is_deaf(|| {
            TABLE.set(PAGE, None);
            let mut ticket = ENGINE.start(&space, page(PAGE)).expect("it is alive");
            for _ in 0..10 {
                let mut others = CpuSet::<WORDS>::EMPTY;
                others.insert(CpuId::new(1));
                others.insert(CpuId::new(3));
                Kernel.send_ipi(others.mask());
                clock::relax();
            }
            assert!(ticket.poll().is_pending());
            assert_names_cpu_2(&ticket.unanswered());
            // An NMI answers, so that the ticket can be dropped.
            ticket.escalate();
            ticket.escalate();
            ticket.wait().expect("an NMI is always taken");
        });
        assert_eq!(cpus::run_on(2, read), GONE);
    }

    #[test]
    fn promise_05_a_late_answer_completes_the_ticket() {
        let space = space();
        assert_eq!(cpus::run_on(2, read), HELD);
        TABLE.set(PAGE, None);
        let seen = AtomicBool::new(false);
        while_cpu_2_is_deaf(|| {
            let error = ENGINE.flush(&space, page(PAGE));
            seen.store(error.is_err(), Ordering::SeqCst);
        });
        assert!(seen.into_inner(), "control: it did not answer in time");
        assert_eq!(cpus::run_on(2, read), GONE, "the interrupt waited for it");
        ENGINE
            .flush(&space, page(PAGE))
            .expect("every CPU answers again");
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
}
