//! Kernel mappings: on every CPU, whatever it runs.
#![no_std]
#![no_main]

use on_target_powerpc as _;

#[embedded_test::tests]
mod tests {
    use on_target_powerpc::platform::{ENGINE, bring_up, is_hypervisor, mends};
    use on_target_powerpc::process::PAGE_SIZE;
    use on_target_powerpc::{cpus, kernel_half, memory, probe};
    use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
    use tlb_shootdown_scenarios::{Access, Refusal};

    const COUNT: usize = 3;
    const HELD: Access = Access::Done(0xabc);
    const GONE: Access = Access::Refused(Refusal::Translation);

    fn range() -> PageRange {
        let start = VirtAddr::new(kernel_half::BASE);
        PageRange::from_len(start, COUNT as u64 * PAGE_SIZE, PageSize::KIB_4).expect("three pages")
    }

    /// Maps the pages of `range` and lets every CPU use them.
    fn every_cpu_uses_the_pages() {
        bring_up();
        kernel_half::link();
        memory::fill(0, 0xabc);
        (0..COUNT).for_each(|page| kernel_half::set(page, Some(memory::phys(0))));
        assert!(every_cpu_sees(HELD));
    }

    fn every_cpu_sees(expected: Access) -> bool {
        // SAFETY: memory, or not mapped.
        let read = |page| unsafe { probe::read_kernel(kernel_half::address(page)) };
        (0..cpus::COUNT)
            .all(|cpu| cpus::run_on(cpu, || (0..COUNT).all(|page| read(page) == expected)))
    }

    #[test]
    fn promise_03_kernel_range_leaves_every_cpu() {
        every_cpu_uses_the_pages();
        (0..COUNT).for_each(|page| kernel_half::set(page, None));
        assert!(every_cpu_sees(HELD), "control: nothing was invalidated");
        let cost = ENGINE
            .flush_kernel_range(range())
            .expect("no CPU is left out");
        assert!(every_cpu_sees(GONE));
        assert_eq!((cost.store_barriers, cost.ipis), (1, 0));
        assert_eq!(cost.completion_barriers, 1 + mends());
        // By PID: an address in quadrant 3 is none that an invalidation may name.
        assert_eq!(cost.invalidations, 1 + mends());
    }

    #[test]
    fn promise_08_kernel_table_leaves_every_cpu() {
        every_cpu_uses_the_pages();
        kernel_half::unlink();
        assert!(every_cpu_sees(HELD), "control: nothing was invalidated");
        let cost = ENGINE
            .flush_kernel_tables(range())
            .expect("no CPU is left out");
        assert!(every_cpu_sees(GONE));
        assert_eq!((cost.store_barriers, cost.ipis), (1, 0));
        assert_eq!(cost.completion_barriers, 1 + mends());
        // By PID: an address in quadrant 3 is none that an invalidation may name.
        assert_eq!(cost.invalidations, 1 + mends());
    }

    #[test]
    fn promise_03_everything_leaves_every_cpu() {
        every_cpu_uses_the_pages();
        (0..COUNT).for_each(|page| kernel_half::set(page, None));
        assert!(every_cpu_sees(HELD), "control: nothing was invalidated");
        let cost = ENGINE.flush_all().expect("no CPU is left out");
        assert!(every_cpu_sees(GONE));
        // A hypervisor drops what is tagged with a process and what is not.
        let scopes = if is_hypervisor() { 2 } else { 1 };
        assert_eq!(cost.invalidations, scopes + mends());
    }
}
