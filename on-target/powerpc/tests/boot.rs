//! The kernel itself: what the other images rely on, without a line of the library under test.
#![no_std]
#![no_main]

use on_target_powerpc as _;

#[embedded_test::tests]
mod tests {
    use core::arch::asm;

    use on_target_powerpc::tree::{self, Pages};
    use on_target_powerpc::{cpus, layout, memory, probe, process};
    use tlb_shootdown_scenarios::{Access, Refusal};

    static TABLE: process::PageTable = process::PageTable::new();
    const PAGE: usize = 3;
    const PID: u64 = 1;

    /// Has CPUs 0 and 1 run a process whose page holds the word 0xabc.
    fn two_cpus_run_a_process(writable: bool) {
        cpus::start();
        TABLE.clear();
        TABLE.set(PAGE, Some((memory::phys(0), writable)));
        memory::fill(0, 0xabc);
        for cpu in 0..2 {
            // SAFETY: a static table; no other PID was used on this machine yet.
            cpus::run_on(cpu, || unsafe { process::install(TABLE.root(), PID) });
        }
    }

    /// What CPUs 0 and 1 read from the page.
    fn reads() -> [Access; 2] {
        [0, 1].map(|cpu| cpus::run_on(cpu, || probe::read(process::address(PAGE))))
    }

    const GONE: Access = Access::Refused(Refusal::Translation);
    const HELD: Access = Access::Done(0xabc);

    #[test]
    fn every_cpu_answers() {
        cpus::start();
        for cpu in 0..cpus::COUNT {
            assert_eq!(cpus::run_on(cpu, cpus::current), cpu);
        }
    }

    #[test]
    fn pages_of_4_kib_alone_are_mapped() {
        two_cpus_run_a_process(true);
        let [kernel, process] = [0, PID].map(tree::pages);
        // The image, and the ports.
        let small = (layout::IMAGE_MAPPED / process::PAGE_SIZE) as usize + 1;
        assert_eq!(kernel, Pages { small, large: 0 });
        assert_eq!(process, Pages { small: 1, large: 0 });
    }

    #[test]
    fn a_fault_of_a_probe_is_a_value() {
        two_cpus_run_a_process(false);
        assert_eq!(reads(), [HELD; 2]);
        let address = process::address(PAGE);
        assert_eq!(
            probe::write(address, 1),
            Access::Refused(Refusal::Permission)
        );
        assert_eq!(probe::read(address + process::PAGE_SIZE), GONE);
        assert_eq!(memory::word(0), 0xabc);
    }

    #[test]
    fn a_write_lands_in_the_frame() {
        two_cpus_run_a_process(true);
        assert_eq!(
            cpus::run_on(1, || probe::write(process::address(PAGE), 0xdef)),
            Access::Done(0xdef)
        );
        assert_eq!(memory::word(0), 0xdef);
    }

    /// Drops this CPU's translation of the page.
    fn invalidate() {
        let address = process::address(PAGE);
        // SAFETY: invalidation alone: TLBIEL, RIC = 0, PRS = 1, R = 1, of one address and a PID.
        unsafe {
            asm!("ptesync", ".long 0x7ca32224", "ptesync",
                in("r4") address, in("r5") PID << 32, options(nostack, preserves_flags));
        }
    }

    #[test]
    fn translations_outlive_their_entry_until_they_are_invalidated() {
        two_cpus_run_a_process(true);
        assert_eq!(reads(), [HELD; 2]);
        TABLE.set(PAGE, None);
        assert_eq!(reads(), [HELD; 2], "nothing was invalidated");
        invalidate();
        assert_eq!(reads(), [GONE, HELD], "this CPU alone was invalidated");
        cpus::run_on(1, invalidate);
        assert_eq!(reads(), [GONE; 2], "every CPU was invalidated");
    }

    #[test]
    #[should_panic]
    fn an_exception_outside_a_probe_ends_the_run() {
        // SAFETY: the address is not mapped, so the read has no effect but the exception.
        unsafe {
            core::ptr::with_exposed_provenance::<u64>(process::address(PAGE) as usize)
                .read_volatile()
        };
    }
}
