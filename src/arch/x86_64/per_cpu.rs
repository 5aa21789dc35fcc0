//! The state of each CPU.

use super::own::Own;
use crate::arch::shown::{Loaded, Shown};
use crate::cpu_set::CpuId;
use crate::defects::Defect;
use crate::space_id::SpaceId;
use crate::sync::{CPUS_PER_WORD, array_of, const_unless_loom};

/// One CPU's lines: what others read is not on the line that each switch writes to.
#[derive(Debug)]
pub(super) struct Cpu {
    pub(super) shown: Shown,
    pub(super) own: Own,
}

impl Cpu {
    /// Nothing is loaded but a root of the kernel's own, and no entry is left.
    pub(super) fn reset(&self) {
        self.own.reset();
        self.shown.set_lazy(false);
        self.shown.end_switch(Loaded::KERNEL);
    }

    pub(super) fn begin_switch(&self) {
        if !Defect::SwitchNotShown.is_put_back() {
            self.shown.begin_switch();
        }
        self.own.begin();
    }

    /// The root of the last [`Own::enter`] is loaded. Goes on switching where there was none since the switch began.
    pub(super) fn end_switch(&self) {
        if self.shown.loaded().is_switching() || Defect::SwitchNotShown.is_put_back() {
            self.shown.end_switch(self.own.entered());
        }
    }

    pub(super) fn enter_lazy(&self) {
        if !self.shown.loaded().is_switching() {
            self.shown.set_lazy(true);
        }
    }

    pub(super) fn is_lazy(&self, space: SpaceId) -> bool {
        self.shown.loaded().is_of(space) && self.shown.is_lazy()
    }

    /// A root of the kernel's own has been loaded, under its identifier, where one was borrowed.
    pub(super) fn leave_borrowed_root(&self) {
        if self.shown.is_lazy() {
            self.own.leave();
            self.shown.end_switch(Loaded::KERNEL);
            self.shown.set_lazy(false);
        }
    }
}

/// All CPUs.
#[derive(Debug)]
pub(super) struct PerCpu<const WORDS: usize>([[Cpu; CPUS_PER_WORD]; WORDS]);

impl<const WORDS: usize> PerCpu<WORDS> {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(array_of!(WORDS, array_of!(CPUS_PER_WORD, Cpu {
                shown: Shown::new(),
                own: Own::new()
            })))
        }
    }

    pub(super) fn get(&self, cpu: CpuId) -> Option<&Cpu> {
        self.0.as_flattened().get(cpu.index())
    }
}
