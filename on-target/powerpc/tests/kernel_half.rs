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
    use tlb_shootdown::flush::Flush;
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

    #[test]
    fn promise_11_a_flush_of_other_addresses_leaves_these_alone() {
        every_cpu_uses_the_pages();
        kernel_half::set(1, None);
        let untouched = PageRange::page(VirtAddr::new(kernel_half::address(100)), PageSize::KIB_4);
        // By address alone: QEMU drops everything where a walk cache is named.
        let leaves = Flush::pages(untouched).leaf_only();
        let ticket = ENGINE.start_kernel(leaves.leaf_size(PageSize::KIB_4));
        ticket
            .expect("a kernel address")
            .wait()
            .expect("no CPU is left out");
        // Nor does the page show where defects are mended.
        let middle = if mends() == 0 { HELD } else { GONE };
        // SAFETY: memory, or not mapped.
        let read = || unsafe { probe::read_kernel(kernel_half::address(1)) };
        assert!((0..cpus::COUNT).all(|cpu| cpus::run_on(cpu, read) == middle));
    }
}
