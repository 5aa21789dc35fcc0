//! Devices that come, go and share: what the table's cells do not show.
#![no_std]
#![no_main]

use on_target_aarch64 as _;

#[embedded_test::tests]
mod tests {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU32, Ordering};

    use on_target_aarch64::machine::Emulated;
    use on_target_aarch64::platform::{ENGINE, WORDS};
    use on_target_aarch64::{cpus, memory, process};
    use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
    use tlb_shootdown::error::Incomplete;
    use tlb_shootdown::flush;
    use tlb_shootdown::ticket::{FrameSink, Frames, Item};
    use tlb_shootdown_on_target_devices::Written;
    use tlb_shootdown_scenarios::{
        Access, Flush, Frame, Machine, Mapping, Observer, Page, Refusal, Rights,
    };

    const PAGE: Page = Page(1);
    const OTHER_PAGE: Page = Page(4);
    const GONE: Access = Access::Refused(Refusal::Translation);
    const ADDRESS: u64 = process::address(PAGE.0 as usize);

    fn to(frame: u8) -> Option<Mapping> {
        Some(Mapping {
            frame: Frame(frame),
            rights: Rights::ReadWrite,
        })
    }

    /// A machine whose devices share a space with a page that leads to frame 0.
    fn machine() -> Emulated {
        let mut machine = Emulated::new().expect("the machine comes up");
        machine
            .reset(Observer::Device)
            .expect("the devices are attached");
        machine.change(PAGE, to(0)).expect("a store");
        machine
    }

    fn device_writes(machine: &mut Emulated, word: u64) -> Access {
        machine
            .write(Observer::Device, PAGE, word)
            .expect("the device works")
    }

    /// Has the device write while it may not use even the window: nothing must arrive.
    fn assert_silent(machine: &Emulated) {
        memory::fill(0, 7);
        let refusal = machine
            .devices()
            .store_again(ADDRESS)
            .expect("the device works");
        assert_eq!(
            memory::word(0),
            7,
            "a device without the space wrote into its frame"
        );
        assert_eq!(
            refusal, None,
            "the accesses of a released device abort unreported"
        );
    }

    #[test]
    fn promise_10_released_means_silent() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        machine.change(PAGE, None).expect("a store");
        assert_eq!(
            device_writes(&mut machine, 2),
            Access::Done(2),
            "control: nothing was invalidated"
        );
        machine.change(PAGE, to(0)).expect("a store");
        ENGINE.release(machine.space()).expect("the SMMU answers");
        assert_silent(&machine);
    }

    #[test]
    fn promise_10_release_can_be_repeated() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        ENGINE.release(machine.space()).expect("the SMMU answers");
        ENGINE.release(machine.space()).expect("the SMMU answers");
        assert_silent(&machine);
        machine.detach().expect("the devices are detached");
    }

    #[test]
    fn promise_10_retired_means_silent() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        let ticket = ENGINE.retire(machine.space()).expect("it is alive");
        ticket.wait().expect("the SMMU answers");
        assert_silent(&machine);
        assert!(ENGINE.retire(machine.space()).is_err(), "retired once");
    }

    #[test]
    fn promise_10_detached_means_silent_and_untold() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        machine.detach().expect("the devices are detached");
        memory::fill(0, 7);
        let _ = machine.devices().store_again(ADDRESS);
        assert_eq!(memory::word(0), 7, "a detached device wrote");
        let cost = machine
            .flush(Flush::Page(PAGE))
            .expect("no CPU is left out");
        assert_eq!(
            (cost.invalidations, cost.commands, cost.doorbells),
            (1, 0, 0)
        );
    }

    #[test]
    fn promise_02_a_flush_before_the_first_walk_is_told_to_the_device() {
        let mut machine = Emulated::new().expect("the machine comes up");
        machine
            .reset(Observer::ThisCpu)
            .expect("this CPU runs the space");
        machine.change(PAGE, to(0)).expect("a store");
        machine.announce().expect("room for one");
        let cost = machine.flush(Flush::Page(PAGE)).expect("the SMMU answers");
        assert_eq!((cost.commands, cost.syncs), (1, 1));
        memory::fill(0, 7);
        let refusal = machine
            .devices()
            .store_again(ADDRESS)
            .expect("the device works");
        assert_eq!(
            (refusal.is_some(), memory::word(0)),
            (true, 7),
            "it walks too early"
        );
        machine.devices().walk().expect("the SMMU answers");
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
    }

    #[test]
    fn a_device_that_was_never_attached_is_refused() {
        let machine = Emulated::new().expect("the machine comes up");
        memory::fill(0, 7);
        let _ = machine.devices().store_again(memory::phys(0));
        assert_eq!(memory::word(0), 7);
    }

    #[test]
    fn a_broadcast_of_the_cpus_does_not_reach_the_device() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        machine.change(PAGE, None).expect("a store");
        // SAFETY: invalidation alone.
        unsafe { asm!("dsb ishst", "tlbi vmalle1is", "dsb ish", "isb") };
        assert_eq!(
            device_writes(&mut machine, 2),
            Access::Done(2),
            "this SMMU follows no broadcasts"
        );
        machine.flush(Flush::Page(PAGE)).expect("the SMMU answers");
        assert_eq!(device_writes(&mut machine, 3), GONE);
    }

    #[test]
    fn promise_09_a_spurious_fault_is_repaired_here_and_told_to_no_device() {
        let mut machine = machine();
        let read_only = Mapping {
            frame: Frame(0),
            rights: Rights::ReadOnly,
        };
        machine.change(PAGE, Some(read_only)).expect("a store");
        machine.fill(Frame(0), 5);
        let seen = machine
            .read(Observer::Device, PAGE)
            .expect("the device works");
        assert_eq!(seen, Access::Done(5));
        machine.change(PAGE, to(0)).expect("a store");
        let page = VirtAddr::new(ADDRESS);
        let cost = ENGINE
            .fix_spurious_fault(machine.space(), page, PageSize::KIB_4)
            .expect("a user address");
        assert_eq!(
            (cost.invalidations, cost.commands, cost.doorbells),
            (1, 0, 0)
        );
        let denied = Access::Refused(Refusal::Permission);
        assert_eq!(
            device_writes(&mut machine, 1),
            denied,
            "the repair is not the upgrade's notice"
        );
        let cost = machine
            .flush(Flush::Upgrade(PAGE))
            .expect("the SMMU answers");
        assert_eq!((cost.commands, cost.doorbells), (1, 1));
        assert_eq!(device_writes(&mut machine, 2), Access::Done(2));
    }

    #[test]
    fn promise_11_other_pages_keep_their_entries() {
        let mut machine = machine();
        machine.change(OTHER_PAGE, to(1)).expect("a store");
        let other = |machine: &mut Emulated| {
            machine
                .read(Observer::Device, OTHER_PAGE)
                .expect("the device works")
        };
        machine.fill(Frame(1), 5);
        assert_eq!(other(&mut machine), Access::Done(5));
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        machine.change(PAGE, None).expect("a store");
        machine.change(OTHER_PAGE, None).expect("a store");
        machine.flush(Flush::Page(PAGE)).expect("the SMMU answers");
        assert_eq!(device_writes(&mut machine, 2), GONE);
        assert_eq!(
            other(&mut machine),
            Access::Done(5),
            "more was flushed than asked for"
        );
    }

    #[test]
    fn promise_05_the_command_queue_wraps_and_loses_nothing() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        for _ in 0..300 {
            let cost = machine
                .flush(Flush::Page(OTHER_PAGE))
                .expect("the SMMU answers");
            assert_eq!((cost.commands, cost.syncs, cost.doorbells), (1, 1, 1));
        }
        machine.change(PAGE, None).expect("a store");
        assert_eq!(
            device_writes(&mut machine, 2),
            Access::Done(2),
            "control: nothing was invalidated"
        );
        machine.flush(Flush::Page(PAGE)).expect("the SMMU answers");
        assert_eq!(device_writes(&mut machine, 3), GONE);
    }

    #[test]
    fn promise_06_four_cpus_flush_at_once() {
        let mut machine = machine();
        (0..cpus::COUNT).for_each(|cpu| machine.run_on(cpu).expect("an identifier"));
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        let before = ENGINE.stats();
        let space = machine.space();
        cpus::run_everywhere(|cpu| {
            let page = VirtAddr::new(process::address(cpu + 2));
            for _ in 0..100 {
                let cost = ENGINE
                    .flush_page(space, page, PageSize::KIB_4)
                    .expect("everybody answers");
                // One CPU's seal may carry the commands of another along.
                assert_eq!((cost.invalidations, cost.commands), (1, 1));
            }
        });
        assert_eq!(ENGINE.stats().completed - before.completed, 400);
        machine.change(PAGE, None).expect("a store");
        assert_eq!(
            device_writes(&mut machine, 2),
            Access::Done(2),
            "control: nothing was invalidated"
        );
        machine.flush(Flush::Page(PAGE)).expect("the SMMU answers");
        assert_eq!(device_writes(&mut machine, 3), GONE);
    }

    /// Counts what comes back, and fills it with a word that must stay.
    struct Sink(AtomicU32);

    impl FrameSink<WORDS> for Sink {
        fn release_frame(&self, _base: PhysAddr, _size: PageSize) {
            self.0.fetch_add(1, Ordering::Relaxed);
            memory::fill(0, 7);
        }

        fn release_table(&self, _base: PhysAddr) {}

        fn quarantine(&self, _items: &[Item], error: &Incomplete<WORDS>) {
            panic!("nobody fails to answer here: {error}");
        }
    }

    #[test]
    fn promise_04_a_frame_comes_back_when_the_device_has_let_go_of_it() {
        let mut machine = machine();
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        machine.change(PAGE, None).expect("a store");
        let sink = Sink(AtomicU32::new(0));
        let mut frames = Frames::inline::<1>(&sink);
        let base = PhysAddr::new(memory::phys(0));
        frames
            .push(Item::Frame {
                base,
                size: PageSize::KIB_4,
            })
            .expect("room for one");
        let ticket = ENGINE.start(
            machine.space(),
            flush::Flush::page(VirtAddr::new(ADDRESS), PageSize::KIB_4),
        );
        let ticket = ticket.expect("it is alive").holding(frames);
        assert_eq!(
            sink.0.load(Ordering::Relaxed),
            0,
            "nobody has asked whether the device is done"
        );
        let cost = ticket.wait().expect("the SMMU answers");
        assert_eq!(
            (cost.commands, cost.syncs, sink.0.load(Ordering::Relaxed)),
            (1, 1, 1)
        );
        assert_eq!(device_writes(&mut machine, 2), GONE);
        assert_eq!(
            memory::word(0),
            7,
            "the device wrote into a frame that had come back"
        );
    }

    // The runner leaves tests whose names end in `_of_a_testdev` out, and says so, where a QEMU has no `iommu-testdev`.
    #[test]
    fn promise_03_one_command_reaches_edu_and_the_write_of_a_testdev() {
        let mut machine = machine();
        let second_writes = |machine: &Emulated, frame| {
            let device = machine.devices().testdev.as_ref().expect("it was found");
            device.write(ADDRESS, memory::phys(frame))
        };
        assert_eq!(device_writes(&mut machine, 1), Access::Done(1));
        assert_eq!(second_writes(&machine, 0), Written::There);
        machine.change(PAGE, None).expect("a store");
        assert_eq!(
            second_writes(&machine, 0),
            Written::There,
            "control: nothing was invalidated"
        );
        let cost = machine.flush(Flush::Page(PAGE)).expect("the SMMU answers");
        assert_eq!((cost.commands, cost.syncs, cost.doorbells), (1, 1, 1));
        assert_eq!(second_writes(&machine, 0), Written::Refused);
        while machine.devices().next_event().is_some() {}
        machine.change(PAGE, to(1)).expect("a store");
        assert_eq!(second_writes(&machine, 1), Written::There);
        assert_eq!(device_writes(&mut machine, 2), Access::Done(2));
        assert_eq!(memory::word(1), 2);
    }
}
