//! What a random kernel does, and how it is drawn.

use crate::kernel::{CPUS, SPACES};
use crate::pages::{Half, PAGES};
use proptest::prelude::*;
use tlb_shootdown::arch::powerpc::hypervisor::HypervisorError;

/// What the kernel does next.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// The kernel's work goes on on another CPU.
    Move {
        cpu: usize,
    },
    Switch {
        cpu: usize,
        space: usize,
    },
    /// The same, and what is pending is flushed from here before that CPU has loaded the PID, or has said so.
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
    /// A new process runs here alone, uses three pages, and loses them.
    Alone {
        space: usize,
        pages: [u64; 3],
        how: How,
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
    Access {
        cpu: usize,
        half: Half,
        page: u64,
        write: bool,
    },
    /// A store that is translated and stays queued.
    WriteLater {
        cpu: usize,
        page: u64,
    },
    /// A COPY that nobody pastes.
    Copy {
        cpu: usize,
        page: u64,
    },
    Touch {
        cpu: usize,
    },
    Retire {
        space: usize,
    },
    /// The hypervisor's next answer.
    Answer(HypervisorError),
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

fn how() -> impl Strategy<Value = How> {
    prop_oneof![
        4 => Just(How::Tight),
        2 => Just(How::Loose),
        1 => Just(How::All),
        2 => Just(How::Each),
    ]
}

/// What moves CPUs between spaces.
fn moves() -> impl Strategy<Value = Op> {
    let (cpu, space) = (0..CPUS, 0..SPACES);
    prop_oneof![
        1 => cpu.clone().prop_map(|cpu| Op::Move { cpu }),
        6 => (cpu.clone(), space.clone()).prop_map(|(cpu, space)| Op::Switch { cpu, space }),
        3 => (cpu.clone(), space.clone(), half(), any::<bool>()).prop_map(|(cpu, space, half, loaded)| {
            Op::SwitchAmid { cpu, space, half, loaded }
        }),
        1 => cpu.clone().prop_map(|cpu| Op::SwitchToKernel { cpu }),
        2 => cpu.prop_map(|cpu| Op::Lazy { cpu }),
        4 => (space.clone(), 0..PAGES).prop_map(|(space, page)| Op::Crowd { space, page }),
        4 => (space.clone(), [0..PAGES, 0..PAGES, 0..PAGES], how())
            .prop_map(|(space, pages, how)| Op::Alone { space, pages, how }),
        1 => space.prop_map(|space| Op::Retire { space }),
    ]
}

/// What changes tables, and flushes.
fn changes() -> impl Strategy<Value = Op> {
    let (space, page) = (0..SPACES, 0..PAGES);
    prop_oneof![
        5 => (half(), page.clone(), any::<bool>())
            .prop_map(|(half, page, writable)| Op::Map { half, page, writable }),
        3 => (half(), page.clone()).prop_map(|(half, page)| Op::Unmap { half, page }),
        3 => (half(), page, any::<bool>())
            .prop_map(|(half, page, writable)| Op::Protect { half, page, writable }),
        1 => (half(), 0..2_u64).prop_map(|(half, table)| Op::UnmapTable { half, table }),
        6 => (half(), how()).prop_map(|(half, how)| Op::Flush { half, how }),
        2 => (space, [0..PAGES, 0..PAGES], [0..CPUS, 0..CPUS])
            .prop_map(|(space, pages, by)| Op::FlushTwice { space, pages, by }),
        1 => prop_oneof![
            2 => Just(HypervisorError::Busy),
            1 => Just(HypervisorError::Refused(-55)),
        ].prop_map(Op::Answer),
    ]
}

/// What fills caches.
fn accesses() -> impl Strategy<Value = Op> {
    let (cpu, page) = (0..CPUS, 0..PAGES);
    prop_oneof![
        5 => (cpu.clone(), half(), page.clone(), any::<bool>())
            .prop_map(|(cpu, half, page, write)| Op::Access { cpu, half, page, write }),
        2 => (cpu.clone(), page.clone()).prop_map(|(cpu, page)| Op::WriteLater { cpu, page }),
        2 => (cpu.clone(), page).prop_map(|(cpu, page)| Op::Copy { cpu, page }),
        6 => cpu.prop_map(|cpu| Op::Touch { cpu }),
    ]
}

pub(crate) fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![18 => moves(), 22 => changes(), 15 => accesses()];
    prop::collection::vec(op, 1..120)
}
