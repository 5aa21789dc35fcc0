//! The kernel: its books, and what its CPUs run.

use super::batches::{BATCHES, Batch};
use super::book::Book;
use super::devices::{Attached, Devices, NoDevices};
use super::loan::lend;
use super::op::{How, Op};
use super::pages::{Half, Layout};
use super::{Machine, Process, Sink};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::memory::Tables;

pub(crate) const SPACES: usize = 4;
pub(crate) const CPUS: usize = 4;

/// What a CPU does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    Nothing,
    Runs(usize),
    /// It runs a kernel thread under what it has loaded.
    Borrows,
    /// It is offline.
    Stopped,
}

/// What is left out of the kernel, as a control.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    Nothing,
    /// It flushes nothing, and relies on it all the same.
    Flushes,
    /// It does not flush what batches hold before it stores or relies.
    PendingFlushes,
    /// It does not flush a batch with dirty pages before it writes them out.
    FlushesBeforeIo,
    /// It widens rights in place, whoever holds them.
    StepsOfUpgrades,
}

/// A context of a device, and whom it serves.
pub(super) struct Served {
    pub(super) space: usize,
    pub(super) attached: Attached,
}

pub(crate) struct Kernel<M: Machine> {
    pub(crate) rig: M,
    pub(super) devices: Box<dyn Devices<M>>,
    pub(super) served: Vec<Option<Served>>,
    pub(super) processes: Vec<Process<M::Arch>>,
    pub(super) books: Vec<Book>,
    kernel: Book,
    pub(super) batches: [Batch<M::Arch>; BATCHES],
    pub(crate) cpus: [Does; CPUS],
    pub(super) layout: Layout,
    pub(super) repairs: bool,
    pub(super) left: Left,
    pub(super) sink: &'static Sink,
    pub(super) stamp: u64,
    pub(super) last_cost: Cost,
}

impl<M: Machine> Kernel<M> {
    pub(crate) fn new(rig: M, repairs: bool) -> Self {
        Self::with_devices(rig, Box::new(NoDevices), repairs)
    }

    pub(crate) fn with_devices(rig: M, devices: Box<dyn Devices<M>>, repairs: bool) -> Self {
        rig.platform().set_repairs_spurious_faults(repairs);
        Self {
            processes: (0..SPACES).map(|_| rig.process()).collect(),
            books: (0..SPACES).map(|_| Book::default()).collect(),
            kernel: Book::default(),
            batches: Default::default(),
            served: (0..devices.contexts()).map(|_| None).collect(),
            devices,
            cpus: [Does::Nothing; CPUS],
            layout: rig.layout(),
            repairs,
            left: Left::Nothing,
            sink: lend(Sink::new(rig.model())),
            stamp: 0,
            last_cost: Cost::ZERO,
            rig,
        }
    }

    /// The same without a part of what it must do.
    pub(crate) fn leaving_out(self, left: Left) -> Self {
        Self { left, ..self }
    }

    /// Does all of this, and ends.
    pub(crate) fn run(mut self, ops: &[Op<M::Own>]) {
        ops.iter().for_each(|&op| self.apply(op));
        self.end();
    }

    pub(crate) fn apply(&mut self, op: Op<M::Own>) {
        let mut needed = op.cpus().into_iter().flatten();
        if needed.any(|cpu| self.cpus[cpu] == Does::Stopped) {
            return;
        }
        self.rig.enter_kernel(self.me());
        match op {
            Op::Move { cpu } => self.go_on_at(cpu),
            Op::Switch { cpu, space } => {
                self.rig.switch(cpu, &self.processes[space]);
                self.cpus[cpu] = Does::Runs(space);
            }
            Op::SwitchAmid {
                cpu,
                space,
                half,
                loaded,
            } => self.switch_amid(cpu, space, half, loaded),
            Op::SwitchToKernel { cpu } => self.switch_to_kernel(cpu),
            Op::Lazy { cpu } => self.enter_lazy(cpu),
            Op::Stop { cpu } => self.stop(cpu),
            Op::Start { cpu } => self.start(cpu),
            Op::Crowd { space, page } => self.crowd(space, page),
            Op::Map {
                half,
                page,
                writable,
            } => self.map(half, page, writable),
            Op::Unmap { half, page } => self.unmap_or_rely(half, page),
            Op::Protect {
                half,
                page,
                writable,
            } => self.protect(half, page, writable),
            Op::Upgrade { space, page } => self.upgrade(space, page),
            Op::UnmapTable { half, table } => self.unmap_table(half, table),
            Op::Flush { half, how } => self.flush(half, how),
            Op::FlushTwice { space, pages, by } => self.flush_twice(space, pages, by),
            Op::Defer {
                space,
                page,
                batch,
                how,
                dirty,
            } => self.take_page(space, page, batch, how, dirty),
            Op::TakeAndReturn {
                space,
                page,
                batch,
                maps,
            } => self.take_and_return(space, page, batch, maps),
            Op::FlushBatch { batch } => self.flush_batch(batch),
            Op::WriteOut { space, page, batch } => {
                self.take_page(space, page, batch, How::Tight, true);
                self.write_out(batch);
            }
            Op::Reclaim { page, how } => self.reclaim(page, how),
            Op::Gather { space, pages, by } => self.gather(space, pages, by),
            Op::Access {
                cpu,
                half,
                page,
                write,
            } => self.access(cpu, half, page, write),
            Op::Touch { cpu } => self.touch(cpu),
            Op::Attach { context, space } => self.attach(context, space),
            Op::Detach { context } => self.detach(context),
            Op::Device {
                context,
                page,
                write,
            } => self.device_access(context, page, write),
            Op::DeviceTouch { context } => self.device_touch(context),
            Op::DeviceFault { context, page } => self.device_fault(context, page),
            Op::Retire { space } => self.retire(space),
            Op::Own(own) => M::apply(self, own),
        }
        self.judge();
    }

    /// The machine objects to nothing, and nothing is lost: what has not come back is in a batch.
    fn judge(&self) {
        assert_eq!(self.rig.model().violations(), []);
        let in_batches: usize = self.batches.iter().map(Batch::items).sum();
        assert_eq!(self.sink.owed(), in_batches, "lost, or held for nothing");
    }

    /// Everything is flushed, everybody ends, and all memory that was to be freed is.
    fn end(&mut self) {
        (0..BATCHES).for_each(|batch| self.flush_batch(batch));
        self.flush(Half::Kernel, How::Tight);
        for space in 0..SPACES {
            self.flush(Half::User(space), How::Tight);
            self.retire(space);
        }
        self.judge();
        assert_eq!(self.sink.owed(), 0);
    }

    /// What the last flush cost.
    pub(crate) fn last_cost(&self) -> Cost {
        self.last_cost
    }

    /// Whether the PID of a process is loaded.
    pub(crate) fn runs_something(&self, cpu: usize) -> bool {
        self.rig.cpu(cpu).root().is_some()
    }

    pub(crate) fn process(&self, space: usize) -> &Process<M::Arch> {
        &self.processes[space]
    }

    pub(crate) fn me(&self) -> usize {
        self.rig.platform().cpu().index()
    }

    pub(super) fn book(&mut self, half: Half) -> &mut Book {
        match half {
            Half::User(space) => &mut self.books[space],
            Half::Kernel => &mut self.kernel,
        }
    }

    pub(super) fn tables(&self, half: Half) -> Tables {
        match half {
            Half::User(space) => self.processes[space].tables.clone(),
            Half::Kernel => self.rig.kernel_tables().clone(),
        }
    }

    /// The lock under which the tables are changed goes along, so the stores are visible there.
    fn go_on_at(&mut self, cpu: usize) {
        self.rig.engine().before_migration();
        self.rig.publish();
        self.rig.platform().migrate(cpu);
        self.rig.enter_kernel(cpu);
    }

    pub(super) fn switch_to_kernel(&mut self, cpu: usize) {
        self.rig.switch_to_kernel(cpu);
        self.cpus[cpu] = Does::Nothing;
    }

    fn enter_lazy(&mut self, cpu: usize) {
        if let Does::Runs(_) = self.cpus[cpu] {
            self.rig.enter_lazy(cpu);
            self.cpus[cpu] = Does::Borrows;
        }
    }

    /// A CPU in the middle of its switch has interrupts off: the flush may have to wait for it.
    fn switch_amid(&mut self, cpu: usize, space: usize, half: Half, loaded: bool) {
        if cpu == self.me() {
            return self.apply(Op::Switch { cpu, space });
        }
        let round = self.pending(half, How::Tight);
        // What it was asked for before is not to be counted with what comes.
        self.rig.take_interrupts();
        let switching = self.rig.begin_switch(cpu, &self.processes[space]);
        if loaded {
            self.rig.load(&switching, &self.processes[space]);
        }
        let end = |kernel: &Self| {
            if !loaded {
                kernel.rig.load(&switching, &kernel.processes[space]);
            }
            kernel.rig.end_switch(switching);
        };
        match round.flushes.last() {
            Some(&flush) => self.start_and(half, flush, &round.changes.items, end),
            None => end(self),
        }
        self.cpus[cpu] = Does::Runs(space);
        self.returned(half, &round.changes);
    }

    /// Work goes on where the kernel is: that CPU stays. Another goes, and speculates until it stands still.
    fn stop(&mut self, cpu: usize) {
        if cpu == self.me() {
            return;
        }
        self.switch_to_kernel(cpu);
        self.rig.on(cpu, |_| self.rig.engine().cpu_offline());
        let port = self.rig.cpu(cpu);
        for page in 0..self.layout.pages() {
            port.speculate(self.layout.address(Half::Kernel, page));
        }
        port.stop();
        self.cpus[cpu] = Does::Stopped;
    }

    /// It comes back with what it held.
    fn start(&mut self, cpu: usize) {
        if self.cpus[cpu] == Does::Stopped {
            self.rig.cpu(cpu).start();
            let online = self.rig.on(cpu, |_| self.rig.engine().cpu_online());
            online.unwrap();
            self.cpus[cpu] = Does::Nothing;
        }
    }

    fn crowd(&mut self, space: usize, page: u64) {
        let half = Half::User(space);
        self.map(half, page, true);
        let online = |&cpu: &usize| self.cpus[cpu] != Does::Stopped;
        for cpu in (0..CPUS).filter(online).collect::<Vec<_>>() {
            self.apply(Op::Switch { cpu, space });
            self.access(cpu, half, page, false);
            M::crowded(self, cpu, page);
        }
        self.unmap(half, page);
        self.flush(half, How::Tight);
    }
}
