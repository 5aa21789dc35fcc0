//! Test pages of the kernel half, as the executing CPU uses them.

use super::mapped::{mapped, word};
use crate::kernel::{kernel_half, probe};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown_model::conformance::{Agent, Entry, Window};

/// Always writable.
pub(super) struct KernelPages;

impl Agent for KernelPages {
    fn read(&self, page: usize) -> Option<u64> {
        // SAFETY: memory, or not mapped.
        word(unsafe { probe::read_kernel(kernel_half::address(page)) })
    }

    fn write(&self, page: usize) -> bool {
        self.read(page).is_some()
    }
}

impl Window for KernelPages {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(kernel_half::address(page))
    }

    fn store(&self, page: usize, entry: Entry) {
        kernel_half::set(page, mapped(entry).map(|(phys, _)| phys));
    }

    fn hang_table(&self, hung: bool) -> bool {
        if hung {
            kernel_half::link();
        } else {
            kernel_half::unlink();
        }
        true
    }
}
