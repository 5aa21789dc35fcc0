//! The machine starts: CPUs, device, two processes.

use super::format::Format;
use super::iommu::{self, Table};
use super::judge::Findings;
use super::kernel::{Kernel, Left, P, Process, Q, Run};
use super::machine::{CPUS, Engine, Machine, Platform};
use super::sink::Sink;
use super::spent::Meter;
use tlb_shootdown::change::Needed;
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::Model;

/// Longer than anything takes here, so that what is never answered fails soon.
const PATIENCE: Patience = Patience {
    nanoseconds: 5_000_000,
    turns: 5000,
};

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl<M: Machine> Kernel<M> {
    /// P runs on CPUs 0, 1 and 2, Q on CPU 3, and the device acts for both. Nothing is mapped.
    pub(crate) fn boot(run: Run<M::Cpu>) -> Self {
        let model = M::model(run.cpus, run.temper);
        let platform = Platform::<M>::new(model.clone());
        let arch = M::arch(&model, run.cpus);
        let engine: &Engine<M> = leak(Engine::<M>::with_patience(platform.clone(), arch, PATIENCE));
        platform.set_handler(|| engine.on_ipi());
        let kernel = M::FORMAT.tables(&model);
        for cpu in 0..CPUS {
            model.cpu(cpu).run_kernel(kernel.root());
            model.cpu(cpu).run_nothing();
            platform.set_current(cpu);
            engine.cpu_online().unwrap();
        }
        M::all_online(engine.arch());
        platform.set_current(0);
        let iommu = iommu::start(run.beside, &model, M::FORMAT);
        let processes = [P, Q].map(|_| process(engine, &model, iommu::format(run.beside)));
        let mut booted = Self {
            sink: leak(Sink::new(model.clone())),
            processes: processes.into(),
            kernel,
            iommu,
            owes: Needed::Nothing,
            is_lazy: false,
            meter: Meter::default(),
            last_call: Meter::default(),
            freed: 0,
            findings: Findings::default(),
            engine,
            model,
            run,
        };
        booted.start_cpus();
        booted.start_device();
        booted
    }

    fn start_cpus(&mut self) {
        if M::shares_ids_when_busy(self.run.cpus) {
            (0..CPUS).for_each(|cpu| self.switch(cpu, P));
            self.engine.flush_space(self.space(P)).unwrap();
        }
        for (cpu, process) in [(0, P), (1, P), (2, P), (3, Q)] {
            self.switch(cpu, process);
        }
        // Whoever has switched since is under the common identifier, where there is one.
        self.engine.flush_space(self.space(P)).unwrap();
    }

    /// Known to the engine before it can walk.
    fn start_device(&mut self) {
        let Some(iommu) = &self.iommu else {
            return;
        };
        let is_told = self.run.left != Left::Notice;
        if is_told {
            self.engine.register_instance(iommu.tlb()).unwrap();
        }
        for (process, context) in [(P, 1), (Q, 2)] {
            let key = iommu.reserve(context, self.table(process));
            if is_told {
                let space = self.space(process);
                let _attached = self.engine.attach(space, iommu.tlb(), key).unwrap();
            }
            iommu.install(key);
        }
    }

    /// The table that devices walk, which is the last.
    fn table(&self, process: usize) -> Table {
        let trees = self.trees(process);
        let is_shared = trees.len() == 1 && self.needs_id();
        Table {
            root: trees.last().unwrap().root(),
            id: is_shared.then(|| M::shared_id(self.engine.arch(), self.space(process))),
        }
    }

    fn needs_id(&self) -> bool {
        M::FORMAT != Format::X86
    }

    /// The context switch of a CPU.
    pub(super) fn switch(&self, cpu: usize, process: usize) {
        let platform = self.engine.platform();
        platform.set_current(cpu);
        let irqs_off = platform.irq_save();
        let space = self.space(process);
        let id = self.engine.switch_to(space).unwrap();
        platform.load(space.id(), self.trees(process)[0].root(), id);
        self.engine.root_loaded();
        drop(irqs_off);
        platform.set_current(0);
    }

    /// The CPU runs a kernel thread on the root that it has.
    pub(super) fn enter_lazy(&self, cpu: usize) {
        let platform = self.engine.platform();
        platform.set_current(cpu);
        let irqs_off = platform.irq_save();
        self.engine.enter_lazy();
        M::enter_lazy(&self.model.cpu(cpu));
        drop(irqs_off);
        platform.set_current(0);
    }

    /// The CPU runs a kernel thread on the kernel's own root.
    pub(super) fn switch_to_kernel(&self, cpu: usize) {
        let platform = self.engine.platform();
        platform.set_current(cpu);
        let irqs_off = platform.irq_save();
        self.engine.switch_to_kernel();
        self.model.cpu(cpu).run_nothing();
        self.engine.root_loaded();
        drop(irqs_off);
        platform.set_current(0);
    }
}

/// With a mirror of its table, where the device's walker reads another format.
fn process<M: Machine>(
    engine: &'static Engine<M>,
    model: &Model,
    device: Option<Format>,
) -> Process<M> {
    let mirror = device.filter(|format| *format != M::FORMAT);
    let formats = [M::FORMAT].into_iter().chain(mirror);
    Process {
        space: leak(engine.new_space()),
        trees: formats.map(|format| format.tables(model)).collect(),
    }
}
