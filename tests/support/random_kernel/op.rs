//! What a random kernel does, and how it is drawn.

use super::batches::BATCHES;
use super::kernel::{CPUS, SPACES};
use super::pages::Half;
use core::fmt::Debug;
use proptest::prelude::*;

/// At most so many contexts of devices are used.
pub(crate) const CONTEXTS: usize = 4;

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
    /// The CPU is taken out and stopped, until a `Start`. What it would have done meanwhile is left out.
    Stop {
        cpu: usize,
    },
    Start {
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
    /// Rights are widened, and everybody is told at once.
    Upgrade {
        space: usize,
        page: u64,
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
    /// A page is taken from a space, and goes with what else has changed there into a batch that stays open; as dirty pages, which have
    /// to be written out.
    Defer {
        space: usize,
        page: u64,
        batch: usize,
        how: How,
        dirty: bool,
    },
    /// Reclaim takes a page and then its neighbour, and each is mapped anew, or found gone by somebody who unmaps it, before the batch is flushed.
    TakeAndReturn {
        space: usize,
        page: u64,
        batch: usize,
        maps: bool,
    },
    FlushBatch {
        batch: usize,
    },
    /// A dirty page is taken from a space into a batch, and the batch's dirty pages are written out.
    WriteOut {
        space: usize,
        page: u64,
        batch: usize,
    },
    /// Two pages are taken from each space, and all that is pending is flushed in one batch.
    Reclaim {
        page: u64,
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
    /// A context of a device serves this space from here on.
    Attach {
        context: usize,
        space: usize,
    },
    Detach {
        context: usize,
    },
    Device {
        context: usize,
        page: u64,
        write: bool,
    },
    DeviceTouch {
        context: usize,
    },
    /// A device reads and writes a page, and the kernel does what it takes for that.
    DeviceFault {
        context: usize,
        page: u64,
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

impl<O> Op<O> {
    /// The CPUs that it takes, but for operations of one architecture and one that brings a CPU back.
    pub(super) fn cpus(&self) -> [Option<usize>; 2] {
        match *self {
            Self::Move { cpu }
            | Self::Switch { cpu, .. }
            | Self::SwitchAmid { cpu, .. }
            | Self::SwitchToKernel { cpu }
            | Self::Lazy { cpu }
            | Self::Stop { cpu }
            | Self::Access { cpu, .. }
            | Self::Touch { cpu } => [Some(cpu), None],
            Self::FlushTwice { by, .. } | Self::Gather { by, .. } => by.map(Some),
            _ => [None; 2],
        }
    }
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
fn moves<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let (cpu, space) = (0..CPUS, 0..SPACES);
    prop_oneof![
        1 => cpu.clone().prop_map(|cpu| Op::Move { cpu }),
        6 => (cpu.clone(), space.clone()).prop_map(|(cpu, space)| Op::Switch { cpu, space }),
        3 => (cpu.clone(), space.clone(), half(), any::<bool>()).prop_map(|(cpu, space, half, loaded)| {
            Op::SwitchAmid { cpu, space, half, loaded }
        }),
        1 => cpu.clone().prop_map(|cpu| Op::SwitchToKernel { cpu }),
        2 => cpu.clone().prop_map(|cpu| Op::Lazy { cpu }),
        1 => cpu.clone().prop_map(|cpu| Op::Stop { cpu }),
        2 => cpu.prop_map(|cpu| Op::Start { cpu }),
        4 => (space.clone(), 0..pages).prop_map(|(space, page)| Op::Crowd { space, page }),
        1 => space.prop_map(|space| Op::Retire { space }),
    ]
}

/// What changes tables, and flushes.
fn changes<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let (space, page) = (0..SPACES, 0..pages);
    prop_oneof![
        5 => (half(), page.clone(), any::<bool>())
            .prop_map(|(half, page, writable)| Op::Map { half, page, writable }),
        3 => (half(), page.clone()).prop_map(|(half, page)| Op::Unmap { half, page }),
        3 => (half(), page.clone(), any::<bool>())
            .prop_map(|(half, page, writable)| Op::Protect { half, page, writable }),
        1 => (space.clone(), page.clone()).prop_map(|(space, page)| Op::Upgrade { space, page }),
        1 => (half(), 0..2_u64).prop_map(|(half, table)| Op::UnmapTable { half, table }),
        6 => (half(), how()).prop_map(|(half, how)| Op::Flush { half, how }),
        2 => (space, [page.clone(), page], [0..CPUS, 0..CPUS])
            .prop_map(|(space, pages, by)| Op::FlushTwice { space, pages, by }),
        1 => (0..pages, how()).prop_map(|(page, how)| Op::Reclaim { page, how }),
        1 => (0..SPACES, prop::array::uniform5(0..pages), [0..CPUS, 0..CPUS])
            .prop_map(|(space, pages, by)| Op::Gather { space, pages, by }),
    ]
}

/// What defers flushes, and what ends that.
fn deferrals<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let (space, page, batch) = (0..SPACES, 0..pages, 0..BATCHES);
    prop_oneof![
        6 => ((space.clone(), page.clone()), batch.clone(), how(), any::<bool>()).prop_map(
            |((space, page), batch, how, dirty)| Op::Defer { space, page, batch, how, dirty }
        ),
        1 => batch.clone().prop_map(|batch| Op::FlushBatch { batch }),
        2 => (space.clone(), page.clone(), batch.clone())
            .prop_map(|(space, page, batch)| Op::WriteOut { space, page, batch }),
        2 => (space, page, batch, any::<bool>()).prop_map(
            |(space, page, batch, maps)| Op::TakeAndReturn { space, page, batch, maps }
        ),
    ]
}

/// What devices do, and who they do it for.
fn of_devices<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let (context, page) = (0..CONTEXTS, 0..pages);
    prop_oneof![
        6 => (context.clone(), 0..SPACES)
            .prop_map(|(context, space)| Op::Attach { context, space }),
        1 => context.clone().prop_map(|context| Op::Detach { context }),
        6 => (context.clone(), page.clone(), any::<bool>())
            .prop_map(|(context, page, write)| Op::Device { context, page, write }),
        6 => context.clone().prop_map(|context| Op::DeviceTouch { context }),
        4 => (context, page).prop_map(|(context, page)| Op::DeviceFault { context, page }),
    ]
}

/// One operation, where the kernel has pages `0..pages`, some operations of its own, and perhaps devices.
pub(crate) fn mix<O: Copy + Debug>(
    pages: u64,
    (weight, own): (u32, impl Strategy<Value = O>),
    devices: bool,
) -> impl Strategy<Value = Op<O>> {
    let device_weight = if devices { 16 } else { 1 };
    prop_oneof![
        18 => moves(pages),
        20 => changes(pages),
        11 => accesses(pages),
        10 => deferrals(pages),
        weight => own.prop_map(Op::Own),
        device_weight => of_devices(pages),
    ]
}

/// What fills caches.
fn accesses<O: Copy + Debug>(pages: u64) -> impl Strategy<Value = Op<O>> {
    let cpu = 0..CPUS;
    prop_oneof![
        5 => (cpu.clone(), half(), 0..pages, any::<bool>())
            .prop_map(|(cpu, half, page, write)| Op::Access { cpu, half, page, write }),
        6 => cpu.prop_map(|cpu| Op::Touch { cpu }),
    ]
}
