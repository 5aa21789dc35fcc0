//! The library's driver of this machine's SMMU before the conformance suite, with a device that looks.
#![no_std]
#![no_main]

use on_target_aarch64 as _;

#[embedded_test::tests]
mod tests {
    use on_target_aarch64::machine::Emulated;
    use on_target_aarch64::platform::Barriers;
    use on_target_aarch64::{clock, memory, process};
    use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
    use tlb_shootdown::dma::DmaBarriers;
    use tlb_shootdown_model::conformance::{
        self, Agent, Bounds, Entry, Frame, PAGES, Surroundings, Window,
    };
    use tlb_shootdown_scenarios::{Access, Machine, Observer};

    /// A space, the devices that share it, and nobody else.
    struct Shared(Emulated);

    impl Surroundings for Shared {
        fn relax(&self) {
            clock::relax();
        }

        fn device(&self) -> Option<&dyn Window> {
            Some(self)
        }
    }

    impl Agent for Shared {
        fn read(&self, page: usize) -> Option<u64> {
            // What a device may not use it does not touch: the word is then still this one.
            memory::fill(memory::SPARE, 0);
            match self.0.devices().read(process::address(page)) {
                Ok(Access::Done(word)) => Some(word).filter(|&word| word != 0),
                _ => None,
            }
        }

        fn write(&self, page: usize) -> bool {
            let written = self.0.devices().write(process::address(page) + 8, 1);
            matches!(written, Ok(Access::Done(_)))
        }
    }

    impl Window for Shared {
        fn page_size(&self) -> PageSize {
            PageSize::KIB_4
        }

        fn address(&self, page: usize) -> VirtAddr {
            VirtAddr::new(process::address(page))
        }

        fn store(&self, page: usize, entry: Entry) {
            let to = |frame, writable| Some((memory::phys(frame as usize), writable));
            let value = match entry {
                Entry::Nothing => None,
                Entry::ReadOnly(frame) => to(frame, false),
                Entry::ReadWrite(frame) => to(frame, true),
            };
            self.0.table().set(page, value);
            Barriers.publish_tables();
        }
    }

    #[test]
    fn the_driver_keeps_its_contract_and_the_device_sees_it() {
        let mut machine = Emulated::new().expect("the machine comes up");
        machine
            .reset(Observer::Device)
            .expect("the devices are attached");
        for frame in [Frame::First, Frame::Second] {
            memory::fill(frame as usize, frame.word());
        }
        let (driver, key) = machine.devices().attached().expect("they are attached");
        let shared = Shared(machine);
        let (start, len) = (shared.address(0), PAGES as u64 * process::PAGE_SIZE);
        let bounds = Bounds {
            pages: PageRange::from_len(start, len, PageSize::KIB_4).expect("adjacent pages"),
            polls: 100_000,
            room: 1_000,
        };
        let passed = conformance::secondary(driver, key, &bounds, &shared);
        let passed = passed.expect("the contract is kept");
        // All but what takes others who flush at the same time.
        assert_eq!((passed.checks, passed.skipped), (21, 2));
        assert!(passed.stale > 0, "{passed}");
    }
}
