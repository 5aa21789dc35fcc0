//! What each CPU has loaded, and which process it has let go of.

use super::pid::plain;
use crate::arch::shown::{Loaded, Shown};
use crate::arch::{HardwareId, Presence};
use crate::cpu_set::CpuId;
use crate::space_id::SpaceId;
use crate::sync::{AtomicU64, CPUS_PER_WORD, Ordering, array_of, const_unless_loom, order_seq_cst};

/// One CPU's lines. Written by that CPU alone, except that anybody reads what is shown.
#[derive(Debug)]
pub(super) struct Cpu {
    shown: Shown,
    /// What [`Shown`] says once the switch has ended.
    entering: AtomicU64,
    /// The PID that is loaded or being loaded. Touched by this CPU alone.
    pid: AtomicU64,
    /// The PID of which nothing was left when this CPU last dropped one wholly, and that it has not run since; 0: none.
    let_go: AtomicU64,
}

impl Cpu {
    const_unless_loom! {
        const fn new() -> Self {
            Self {
                shown: Shown::new(),
                entering: AtomicU64::new(Loaded::KERNEL.raw()),
                pid: AtomicU64::new(0),
                let_go: AtomicU64::new(0),
            }
        }
    }

    /// Nothing is loaded but the kernel's PID.
    pub(super) fn reset(&self) {
        self.pid.store(0, Ordering::Relaxed);
        self.shown.set_lazy(false);
        self.shown.end_switch(Loaded::KERNEL);
    }

    /// Shows that this CPU is about to run the process, before the caller looks whether it is a member of it: whoever takes it out of
    /// the members first, and then looks here, puts it back. True where this CPU had let go of the process.
    pub(super) fn begin_switch(&self, id: HardwareId) -> bool {
        let comes_back = self.let_go.load(Ordering::Relaxed) == plain(id).0;
        if comes_back {
            self.let_go.store(0, Ordering::SeqCst);
        }
        self.entering
            .store(Loaded::SWITCHING.raw(), Ordering::Relaxed);
        self.pid.store(plain(id).0, Ordering::Relaxed);
        self.shown.begin_switch();
        comes_back
    }

    pub(super) fn enter(&self, space: SpaceId) {
        self.entering
            .store(Loaded::own(space).raw(), Ordering::Relaxed);
    }

    pub(super) fn enter_kernel(&self) {
        self.shown.begin_switch();
        self.pid.store(0, Ordering::Relaxed);
        self.entering.store(Loaded::KERNEL.raw(), Ordering::Relaxed);
    }

    /// The PID of the last [`enter`](Self::enter) is loaded. Goes on switching where there was none since the switch began.
    pub(super) fn end_switch(&self) {
        if self.shown.loaded().is_switching() {
            let entered = Loaded::from_raw(self.entering.load(Ordering::Relaxed));
            self.shown.end_switch(entered);
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

    /// The kernel's PID has been loaded where another's was borrowed.
    pub(super) fn leave_borrowed_root(&self) {
        if self.shown.is_lazy() {
            self.pid.store(0, Ordering::Relaxed);
            self.shown.end_switch(Loaded::KERNEL);
            self.shown.set_lazy(false);
        }
    }

    pub(super) fn presence(&self, space: SpaceId) -> Presence {
        let loaded = self.shown.loaded();
        let is_lazy = self.shown.is_lazy();
        match () {
            () if loaded.is_switching() => Presence::Running,
            () if !loaded.is_of(space) => Presence::Elsewhere,
            () if is_lazy => Presence::Lazy,
            () => Presence::Running,
        }
    }

    /// Everything under the PID has been dropped here. Unless it is loaded, whosever it is by now, nothing can come back.
    pub(super) fn let_go(&self, id: HardwareId) {
        let is_loaded = self.pid.load(Ordering::Relaxed) == plain(id).0;
        if !is_loaded && !self.shown.loaded().is_switching() {
            self.let_go.store(plain(id).0, Ordering::SeqCst);
        }
    }

    pub(super) fn has_let_go(&self, id: HardwareId) -> bool {
        order_seq_cst();
        self.let_go.load(Ordering::SeqCst) == plain(id).0
    }
}

/// All CPUs.
#[derive(Debug)]
pub(super) struct PerCpu<const WORDS: usize>([[Cpu; CPUS_PER_WORD]; WORDS]);

impl<const WORDS: usize> PerCpu<WORDS> {
    const_unless_loom! {
        pub(super) const fn new() -> Self {
            Self(array_of!(WORDS, array_of!(CPUS_PER_WORD, Cpu::new())))
        }
    }

    pub(super) fn get(&self, cpu: CpuId) -> Option<&Cpu> {
        self.0.as_flattened().get(cpu.index())
    }
}
