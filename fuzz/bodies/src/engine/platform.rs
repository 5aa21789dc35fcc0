//! The model's platform, with NMIs and a count of the turns that somebody has waited.

use super::machine::Arch;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::space::SpaceId;
use tlb_shootdown_model::platform::{IrqGuard, ModelPlatform, PinGuard};

type Handler = Box<dyn Fn() + Send + Sync>;

#[derive(Clone)]
pub(super) struct Ground {
    pub(super) model: ModelPlatform<Arch>,
    turns: Arc<AtomicU64>,
    nmi: Arc<OnceLock<Handler>>,
}

impl Ground {
    pub(super) fn new(model: ModelPlatform<Arch>) -> Self {
        Self {
            model,
            turns: Arc::default(),
            nmi: Arc::default(),
        }
    }

    /// There are NMIs, and their handler runs this.
    pub(super) fn set_nmi_handler(&self, handler: impl Fn() + Send + Sync + 'static) {
        let _ = self.nmi.set(Box::new(handler));
    }

    /// Turns of spin loops since the last call.
    pub(super) fn take_turns(&self) -> u64 {
        self.turns.swap(0, Ordering::Relaxed)
    }
}

// SAFETY: the model's, which says why; an NMI is taken at once, by the CPUs that it is for, with interrupts off.
unsafe impl Platform for Ground {
    type Arch = Arch;
    type PinGuard = PinGuard;
    type IrqGuard = IrqGuard;

    fn cpu(&self) -> CpuId {
        self.model.cpu()
    }

    fn pin_cpu(&self) -> PinGuard {
        self.model.pin_cpu()
    }

    fn irq_save(&self) -> IrqGuard {
        self.model.irq_save()
    }

    fn send_ipi(&self, targets: CpuMask<'_>) {
        self.model.send_ipi(targets);
    }

    fn send_nmi(&self, targets: CpuMask<'_>) -> bool {
        let Some(handler) = self.nmi.get() else {
            return false;
        };
        let me = self.cpu().index();
        for cpu in targets.iter() {
            self.model.set_current(cpu.index());
            let irqs_off = self.irq_save();
            handler();
            drop(irqs_off);
        }
        self.model.set_current(me);
        true
    }

    fn relax(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.model.relax();
    }

    fn now(&self) -> Option<u64> {
        self.model.now()
    }

    fn leave_borrowed_root(&self, space: Option<SpaceId>) {
        self.model.leave_borrowed_root(space);
    }

    fn repairs_spurious_faults(&self) -> bool {
        self.model.repairs_spurious_faults()
    }
}
