//! What a random kernel does, and how it is drawn.

use super::kernel::{CPUS, SPACES};
use super::pages::Half;
use core::fmt::Debug;
use proptest::prelude::*;

/// What the kernel does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op<O> {
    /// The kernel's work goes on on another CPU.
    Move {
        cpu: usize,
    },
    Switch {
        cpu: usize,
        space: usize,
    },
    /// The same, and what is pending is flushed from here before that CPU has loaded the root, or has said so.
    SwitchAmid {
        cpu: usize,
        space: usize,
        half: Half,
        loaded: bool,
    },
    SwitchToKernel {
        cpu: usize,
    },
    Lazy {
        cpu: usize,
    },
    /// All CPUs run one space and read a page of it, which is then unmapped.
    Crowd {
        space: usize,
        page: u64,
    },
    Map {
        half: Half,
        page: u64,
        writable: bool,
    },
    Unmap {
        half: Half,
        page: u64,
    },
    Protect {
        half: Half,
        page: u64,
        writable: bool,
    },
    UnmapTable {
        half: Half,
        table: u64,
    },
    Flush {
        half: Half,
        how: How,
    },
    /// Two pages are unmapped, and two CPUs flush one each at the same time.
    FlushTwice {
        space: usize,
        pages: [u64; 2],
        by: [usize; 2],
    },
    /// What is pending in all spaces is flushed in one batch.
    Reclaim {
        how: How,
    },
    /// Pages are unmapped into a gather, with another one open on the same space from the middle on where two CPUs are named.
    Gather {
        space: usize,
        pages: [u64; 5],
        by: [usize; 2],
    },
    Access {
        cpu: usize,
        half: Half,
        page: u64,
        write: bool,
    },
    Touch {
        cpu: usize,
    },
    Retire {
        space: usize,
    },
    /// What only kernels of one architecture do.
    Own(O),
}

/// How pending changes are flushed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    /// One flush of the smallest range, with every promise that holds.
    Tight,
    /// The same without promises.
    Loose,
    /// Everything.
    All,
    /// Page by page.
    Each,
}

fn half() -> impl Strategy<Value = Half> {
    prop_oneof![
        5 => (0..SPACES).prop_map(Half::User),
        2 => Just(Half::Kernel),
    ]
}

pub(crate) fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Tight),
        2 => Just(How::Loose),
        1 => Just(How::All),
        2 => Just(How::Each),
    ]
}

/// What moves CPUs between spaces.
pub(crate) fn moves<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let (cpu, space) = (0..CPUS, 0..SPACES);
    prop_oneof![
        1 => cpu.clone().prop_map(|cpu| Op::Move { cpu }),
        6 => (cpu.clone(), space.clone()).prop_map(|(cpu, space)| Op::Switch { cpu, space }),
        3 => (cpu.clone(), space.clone(), half(), any::<bool>()).prop_map(|(cpu, space, half, loaded)| {
            Op::SwitchAmid { cpu, space, half, loaded }
        }),
        1 => cpu.clone().prop_map(|cpu| Op::SwitchToKernel { cpu }),
        2 => cpu.prop_map(|cpu| Op::Lazy { cpu }),
        4 => (space.clone(), 0..pages).prop_map(|(space, page)| Op::Crowd { space, page }),
        1 => space.prop_map(|space| Op::Retire { space }),
    ]
}

/// What changes tables, and flushes.
pub(crate) fn changes<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let (space, page) = (0..SPACES, 0..pages);
    prop_oneof![
        5 => (half(), page.clone(), any::<bool>())
            .prop_map(|(half, page, writable)| Op::Map { half, page, writable }),
        3 => (half(), page.clone()).prop_map(|(half, page)| Op::Unmap { half, page }),
        3 => (half(), page.clone(), any::<bool>())
            .prop_map(|(half, page, writable)| Op::Protect { half, page, writable }),
        1 => (half(), 0..2_u64).prop_map(|(half, table)| Op::UnmapTable { half, table }),
        6 => (half(), how()).prop_map(|(half, how)| Op::Flush { half, how }),
        2 => (space, [page.clone(), page], [0..CPUS, 0..CPUS])
            .prop_map(|(space, pages, by)| Op::FlushTwice { space, pages, by }),
        1 => how().prop_map(|how| Op::Reclaim { how }),
        1 => (0..SPACES, prop::array::uniform5(0..pages), [0..CPUS, 0..CPUS])
            .prop_map(|(space, pages, by)| Op::Gather { space, pages, by }),
    ]
}

/// What fills caches.
pub(crate) fn accesses<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let cpu = 0..CPUS;
    prop_oneof![
        5 => (cpu.clone(), half(), 0..pages, any::<bool>())
            .prop_map(|(cpu, half, page, write)| Op::Access { cpu, half, page, write }),
        6 => cpu.prop_map(|cpu| Op::Touch { cpu }),
    ]
}
