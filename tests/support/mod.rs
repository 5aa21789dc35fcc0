//! A small machine of host threads: CPUs with TLBs, interrupts that wait for a safe point, secondary TLBs on script.
//!
//! What is stale here stays visible: an entry leaves a TLB only when an invalidation of it completes. Everything is leaked, so
//! that engines, spaces and secondary TLBs are `'static`, as they are in a kernel.
#![allow(dead_code, unused_imports, reason = "each test file uses a part of it")]

mod arch;
mod fake_tlb;
mod journal;
mod machine;
mod platform;
mod sink;

pub(crate) use arch::TestArch;
pub(crate) use fake_tlb::{Answer, FakeTlb, Op};
pub(crate) use journal::Event;
pub(crate) use machine::{Engine, Machine, Point, Space, cpu_set};
pub(crate) use platform::Host;
pub(crate) use sink::Sink;

use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;

/// The base of user page `n`.
pub(crate) fn page(n: u64) -> VirtAddr {
    VirtAddr::new(n << 12)
}

/// User pages `first..=last`.
pub(crate) fn pages(first: u64, last: u64) -> PageRange {
    PageRange::inclusive(page(first), page(last), PageSize::KIB_4).expect("first <= last")
}

/// The kernel page `n`.
pub(crate) fn kernel_page(n: u64) -> PageRange {
    PageRange::page(
        VirtAddr::new(0xffff_0000_0000_0000 + (n << 12)),
        PageSize::KIB_4,
    )
}

/// The leaf entry of user page `n`.
pub(crate) fn leaf(n: u64) -> Flush {
    Flush::page(page(n), PageSize::KIB_4)
}
