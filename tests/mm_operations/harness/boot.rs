//! The machine starts: CPUs, device, two processes.

use super::format::Format;
use super::iommu::{self, Table};
use super::judge::Findings;
use super::kernel::{Kernel, Left, P, Process, Q, Run};
use super::machine::{CPUS, Engine, Machine, Platform};
use super::quick::Quick;
use super::sink::Sink;
use super::spent::Meter;
use tlb_shootdown::arch::{Arch as _, Delivery};
use tlb_shootdown::change::Needed;
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::SecondaryTlb;
use tlb_shootdown_model::{Model, Temper};

/// Longer than anything takes here, so that what is never answered fails soon.
const PATIENCE: Patience = Patience {
    nanoseconds: 5_000_000,
    turns: 5000,
};

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

impl<M: Machine> Kernel<M> {
    /// P runs on CPUs 0, 1 and 2, or here alone, Q on CPU 3, and the device acts for both. Nothing is mapped.
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
        let is_common = M::shares_ids_when_busy(self.run.cpus);
        if is_common {
            (0..CPUS).for_each(|cpu| self.switch(cpu, P));
            self.engine.flush_space(self.space(P)).unwrap();
        }
        for &cpu in self.cpus_of(P) {
            self.switch(cpu, P);
        }
        self.switch(3, Q);
        if is_common {
            // Everybody has switched since, and is under the common identifier.
            self.engine.flush_space(self.space(P)).unwrap();
            let arch = self.engine.arch();
            let id = arch.hardware_id(self.space(P).hardware());
            assert_eq!(arch.delivery(id), Delivery::Broadcast);
        }
    }

    /// Known to the engine before it can walk.
    fn start_device(&mut self) {
        let Some(iommu) = &self.iommu else {
            return;
        };
        let tlb = self.hardware_of(iommu.tlb());
        let is_told = self.run.left != Left::Notice;
        if is_told {
            self.engine.register_instance(tlb).unwrap();
        }
        for (process, context) in [(P, 1), (Q, 2)] {
            let key = iommu.reserve(context, self.table(process));
            if is_told {
                let space = self.space(process);
                let _attached = self.engine.attach(space, tlb, key).unwrap();
            }
            iommu.install(key);
        }
    }

    /// As quick as the machine's temper allows.
    fn hardware_of(&self, inner: &'static dyn SecondaryTlb) -> &'static dyn SecondaryTlb {
        match self.run.temper {
            Temper::Kind => leak(Quick {
                inner,
                model: self.model.clone(),
            }),
            _ => inner,
        }
    }

    /// The table that devices walk, which is the last.
    fn table(&self, process: usize) -> Table {
        let trees = self.trees(process);
        // An IOMMU of x86-64 has identifiers of its own in any case.
        let is_shared = trees.len() == 1 && M::FORMAT != Format::X86;
        Table {
            root: trees.last().unwrap().root(),
            id: is_shared.then(|| M::shared_id(self.engine.arch(), self.space(process))),
        }
    }

    /// The context switch of a CPU.
    pub(super) fn switch(&self, cpu: usize, process: usize) {
        self.on(cpu, || {
            let space = self.space(process);
            let id = self.engine.switch_to(space).unwrap();
            let root = self.trees(process)[0].root();
            self.engine.platform().load(space.id(), root, id);
            self.engine.root_loaded();
        });
    }

    /// The CPU runs a kernel thread on the root that it has.
    pub(super) fn enter_lazy(&self, cpu: usize) {
        self.on(cpu, || {
            self.engine.enter_lazy();
            M::enter_lazy(&self.model.cpu(cpu));
        });
    }

    /// The CPU runs a kernel thread on the kernel's own root.
    pub(super) fn switch_to_kernel(&self, cpu: usize) {
        self.on(cpu, || {
            self.engine.switch_to_kernel();
            self.model.cpu(cpu).run_nothing();
            self.engine.root_loaded();
        });
    }

    /// Does this on a CPU with interrupts off.
    fn on(&self, cpu: usize, f: impl FnOnce()) {
        let platform = self.engine.platform();
        platform.set_current(cpu);
        let irqs_off = platform.irq_save();
        f();
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
