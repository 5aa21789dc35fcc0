//! AArch64 as the machine of random kernels.

use crate::own::Own;
use crate::random_kernel::{Kernel, Layout, Machine, Surplus};
use crate::rig::{Arch, Engine, Platform, Process, Rig};
use tlb_shootdown::address::{FlushRange, PageSize};
use tlb_shootdown::arch::{Arch as _, HardwareId};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::oracle::Counts;
use tlb_shootdown_model::platform::IrqGuard;

/// A switch between its two halves.
pub(crate) struct Switching {
    cpu: usize,
    id: HardwareId,
    irqs_off: IrqGuard,
}

impl Rig {
    /// The even one of its ASIDs.
    pub(crate) fn asid(&self, process: &Process) -> Option<HardwareId> {
        self.engine.arch().hardware_id(process.space.hardware())
    }
}

impl Machine for Rig {
    type Arch = Arch;
    type Switching = Switching;
    type Own = Own;

    fn model(&self) -> &Model {
        &self.model
    }

    fn platform(&self) -> &Platform {
        &self.platform
    }

    fn engine(&self) -> &'static Engine {
        self.engine
    }

    fn kernel_tables(&self) -> &Tables {
        &self.kernel
    }

    fn layout(&self) -> Layout {
        Layout {
            base: PageSize::KIB_4,
            large: 2,
            kernel: 0xffff_8000_4000_0000,
        }
    }

    fn process(&self) -> Process {
        Rig::process(self)
    }

    fn begin_switch(&self, cpu: usize, process: &Process) -> Switching {
        self.on(cpu, |_| {
            let irqs_off = self.platform.irq_save();
            let id = self.engine.switch_to(process.space).unwrap();
            Switching { cpu, id, irqs_off }
        })
    }

    fn load(&self, switching: &Switching, process: &Process) {
        self.on(switching.cpu, |_| {
            let root = process.tables.root();
            self.platform.load(process.space.id(), root, switching.id);
        });
    }

    fn end_switch(&self, switching: Switching) {
        self.on(switching.cpu, |_| self.engine.root_loaded());
        drop(switching.irqs_off);
    }

    fn switch_to_kernel(&self, cpu: usize) {
        self.on(cpu, |port| {
            self.engine.switch_to_kernel();
            port.run_nothing();
            self.engine.root_loaded();
        });
    }

    fn enter_lazy(&self, cpu: usize) {
        self.on(cpu, |_| self.engine.enter_lazy());
    }

    fn publish(&self) {
        Rig::publish(self);
    }

    fn has_global_pages(&self) -> bool {
        !self.parts.kpti
    }

    fn apply(kernel: &mut Kernel<Self>, own: Own) {
        own.apply(kernel);
    }

    fn compare(&self, cost: &Cost, counts: &Counts) {
        let said = [
            cost.store_barriers,
            cost.invalidations,
            cost.completion_barriers,
            cost.ipis,
        ];
        let counted = [
            counts.store_barriers,
            counts.tlbis,
            counts.completion_barriers,
            counts.ipis,
        ];
        assert_eq!(said, counted);
    }

    /// With kernel page-table isolation the kernel's pages are not global: what is held of them under a space's ASIDs goes with the whole of it.
    fn surplus_elsewhere(&self, flush: &Flush, cost: &Cost) -> Surplus {
        match flush.range() {
            FlushRange::All if self.parts.kpti => Surplus::Any,
            _ => self.surplus(cost),
        }
    }

    /// An ASID is given back dirty: who gets it next cleans it at a rollover.
    fn shared_id(&self, _process: &Process) -> Option<u32> {
        None
    }
}
