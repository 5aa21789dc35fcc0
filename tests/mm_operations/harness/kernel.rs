//! The kernel, its processes, and which part of it is left out.

use super::column::Beside;
use super::iommu::Iommu;
use super::judge::Findings;
use super::machine::{Engine, Machine, Space};
use super::sink::Sink;
use super::spent::Meter;
use std::fmt::Debug;
use tlb_shootdown::change::Needed;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::{Model, Temper};

/// The process that an operation is about: this CPU, another and a lazy one run it, and the device acts for it.
pub(crate) const P: usize = 0;
/// Another process, on the last CPU, with a context of the same device.
pub(crate) const Q: usize = 1;
/// The kernel's own half, which every CPU uses.
pub(crate) const KERNEL: usize = 2;

/// What is left out of the kernel, as a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// The library is not called, and the kernel goes on as if it had returned.
    Call,
    /// The device's TLB is not attached, nor registered: CPUs are flushed, and it is told of nothing.
    Notice,
}

/// One run of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run<C> {
    pub(crate) cpus: C,
    pub(crate) beside: Beside,
    /// P runs here and nowhere else.
    pub(crate) is_alone: bool,
    pub(crate) temper: Temper,
    pub(crate) left: Left,
    /// What the operation costs is compared with the row's figures.
    pub(crate) counts: bool,
}

/// A process: its space, and its table in each format.
pub(super) struct Process<M: Machine> {
    pub(super) space: &'static Space<M>,
    /// The CPUs', then the device's where that is another.
    pub(super) trees: Vec<Tables>,
}

/// The kernel.
pub(crate) struct Kernel<M: Machine> {
    pub(crate) model: Model,
    pub(crate) engine: &'static Engine<M>,
    pub(super) run: Run<M::Cpu>,
    pub(super) sink: &'static Sink,
    pub(super) processes: Vec<Process<M>>,
    pub(super) kernel: Tables,
    pub(super) iommu: Option<Box<dyn Iommu>>,
    /// What the changes ask for, by value, that no call has completed yet.
    pub(super) owes: Needed,
    /// CPU 2 keeps the root for nobody.
    pub(super) is_lazy: bool,
    pub(super) meter: Meter,
    /// What the last call has cost, and what had come free when it returned.
    pub(super) last_call: Meter,
    pub(super) freed: usize,
    pub(super) findings: Findings,
}

impl<M: Machine> Kernel<M> {
    pub(crate) fn space(&self, owner: usize) -> &'static Space<M> {
        self.processes[owner].space
    }

    /// Every tree that has what the owner maps.
    pub(super) fn trees(&self, owner: usize) -> &[Tables] {
        match owner {
            KERNEL => core::slice::from_ref(&self.kernel),
            process => &self.processes[process].trees,
        }
    }

    pub(crate) fn beside(&self) -> Beside {
        self.run.beside
    }

    /// Whether the library is called.
    pub(super) fn calls(&self) -> bool {
        self.run.left != Left::Call
    }

    /// Caches evict and fetch what nobody asked for.
    pub(crate) fn is_restless(&self) -> bool {
        matches!(self.run.temper, Temper::Seeded(_))
    }

    /// Runs where everything is done as late as it may be, and nothing unasked, so that each cached entry is there until it must go.
    pub(crate) fn is_predictable(&self) -> bool {
        self.run.temper == Temper::Late
    }
}
