//! A kernel on a modelled machine of any architecture, which does what it is told and keeps the books against which the machine is
//! judged.
#![allow(
    dead_code,
    unused_imports,
    reason = "each test binary uses a part of it"
)]

mod accesses;
mod amount;
mod batches;
mod book;
mod bounds;
mod devices;
mod edits;
mod flushes;
mod gathers;
mod kernel;
mod lives;
mod loan;
mod op;
mod pages;
mod sink;
mod trial;
mod words;

pub(crate) use amount::{is_a_night, noticing, sequences};
pub(crate) use bounds::Surplus;
pub(crate) use devices::{Attached, Devices, Needing, NoDevices};
pub(crate) use kernel::{CPUS, Does, Kernel, Left, SPACES};
pub(crate) use loan::{lend, on_loan};
pub(crate) use op::{How, Op, how, mix};
pub(crate) use pages::{Half, Layout};
pub(crate) use sink::Sink;
pub(crate) use trial::random_kernels;

use core::fmt;
use tlb_shootdown::arch::Arch;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::cpu::CpuPort;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::oracle::Counts;
use tlb_shootdown_model::platform::ModelPlatform;

/// A process: its space, which lives as long as the test, as batches ask for that are open for as long as the kernel goes on; its table.
pub(crate) struct Process<A: Arch + 'static> {
    pub(crate) space: &'static AddressSpace<A, 1>,
    pub(crate) tables: Tables,
}

/// What the kernel runs on: the machine, the library, and what the architecture wants done around them.
pub(crate) trait Machine: Sized {
    type Arch: Arch + 'static;
    /// A switch between its two halves.
    type Switching;
    /// What only kernels of this architecture do.
    type Own: Copy + fmt::Debug;

    fn model(&self) -> &Model;

    fn platform(&self) -> &ModelPlatform<Self::Arch>;

    fn engine(&self) -> &'static Shootdown<ModelPlatform<Self::Arch>, 1>;

    fn kernel_tables(&self) -> &Tables;

    fn layout(&self) -> Layout;

    fn process(&self) -> Process<Self::Arch>;

    /// The first half of a switch of this CPU; interrupts are off there until its end.
    fn begin_switch(&self, cpu: usize, process: &Process<Self::Arch>) -> Self::Switching;

    /// The root is loaded.
    fn load(&self, switching: &Self::Switching, process: &Process<Self::Arch>);

    /// Everybody can see what is loaded.
    fn end_switch(&self, switching: Self::Switching);

    /// This CPU switches to a root of the kernel's own.
    fn switch_to_kernel(&self, cpu: usize);

    /// This CPU runs a kernel thread on the root that it has.
    fn enter_lazy(&self, cpu: usize);

    /// Makes every store visible to every walker, as by a barrier of the test's own.
    fn publish(&self);

    /// Does what only kernels of this architecture do.
    fn apply(kernel: &mut Kernel<Self>, own: Self::Own);

    /// This CPU is in its kernel from here on.
    fn enter_kernel(&self, cpu: usize) {
        let _ = cpu;
    }

    /// Whether the kernel's pages are mapped as global ones.
    fn has_global_pages(&self) -> bool {
        false
    }

    /// Time passes, so that what was asked for before is not counted with what comes.
    fn take_interrupts(&self) {}

    /// The library's figures are the machine's, as far as they are of CPUs. Those who were asked count for themselves.
    fn compare(&self, cost: &Cost, counts: &Counts);

    /// What CPUs may drop beside what a flush of this cost asked for.
    fn surplus(&self, cost: &Cost) -> Surplus {
        let _ = cost;
        Surplus::None
    }

    /// What anybody may drop of trees of which the flush asked for nothing.
    fn surplus_elsewhere(&self, flush: &Flush, cost: &Cost) -> Surplus {
        let _ = flush;
        self.surplus(cost)
    }

    /// A CPU of a crowd has read the page that is about to be unmapped.
    fn crowded(kernel: &mut Kernel<Self>, cpu: usize, page: u64) {
        let _ = (kernel, cpu, page);
    }

    /// No CPU runs the process any more, and its space is about to be retired.
    fn end(&self, process: &Process<Self::Arch>) {
        let _ = process;
    }

    /// The identifier that all CPUs use for the process, where there is one: it is given back with it.
    fn shared_id(&self, process: &Process<Self::Arch>) -> Option<u32>;

    fn cpu(&self, cpu: usize) -> CpuPort {
        self.model().cpu(cpu)
    }

    /// Runs `f` on another CPU, in its kernel with interrupts off.
    fn on<R>(&self, cpu: usize, f: impl FnOnce(&CpuPort) -> R) -> R {
        let me = self.platform().cpu().index();
        self.platform().set_current(cpu);
        let irqs_off = self.platform().irq_save();
        self.enter_kernel(cpu);
        let result = f(&self.cpu(cpu));
        drop(irqs_off);
        self.platform().set_current(me);
        result
    }

    /// This CPU switches to the process.
    fn switch(&self, cpu: usize, process: &Process<Self::Arch>) {
        let switching = self.begin_switch(cpu, process);
        self.load(&switching, process);
        self.end_switch(switching);
    }
}
