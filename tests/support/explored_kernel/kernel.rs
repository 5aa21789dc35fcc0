//! The kernel, and which of its steps can be taken.

use super::Booted;
use super::pages::{Change, Page, Stage};
use super::step::{Next, Step};
use super::theme::Theme;
use crate::random_kernel::{Attached, Devices, Half, Machine, Process, Sink, lend};
use tlb_shootdown::batch::{Flushing, Reclaim};
use tlb_shootdown::ticket::{Frames, Item, Ticket};
use tlb_shootdown_model::explore::{choose, note, say};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::platform::ModelPlatform;

pub(super) const CPUS: usize = 2;
pub(super) const PAGES: usize = 2;
/// For all that a ticket may hold: two pages that are mapped, two that were, and a root.
const ROOM: usize = 5;

pub(super) type Holding = Frames<'static, Sink, [Item; ROOM]>;
pub(super) type Open<A> = Ticket<'static, ModelPlatform<A>, 1, Holding>;
pub(super) type Batch<A> = Reclaim<'static, ModelPlatform<A>, 1, PAGES, Holding>;
pub(super) type BatchFlush<A> = Flushing<'static, 'static, ModelPlatform<A>, 1, PAGES, Holding>;

/// What a CPU does.
#[derive(Debug)]
pub(super) enum Does<S> {
    Runs(Next),
    Switches {
        switching: S,
        loaded: bool,
    },
    /// For the moment of a change.
    Moves,
}

pub(crate) struct Kernel<M: Machine> {
    pub(super) rig: M,
    pub(super) devices: Option<Box<dyn Devices<M>>>,
    /// Nothing where no device serves the process.
    pub(super) attached: Option<Attached>,
    pub(super) process: Process<M::Arch>,
    pub(super) neighbour: Process<M::Arch>,
    pub(super) pages: [Page; PAGES],
    /// Which CPU changes which page.
    pub(super) by: [usize; PAGES],
    pub(super) cpus: [Does<M::Switching>; CPUS],
    pub(super) tickets: [Option<Open<M::Arch>>; PAGES],
    /// Nothing where it is empty, or being flushed.
    pub(super) batch: Option<&'static mut Batch<M::Arch>>,
    pub(super) batch_flush: Option<BatchFlush<M::Arch>>,
    pub(super) ending: Option<Open<M::Arch>>,
    pub(super) has_ended: bool,
    /// Where the task is that waits for the tickets.
    pub(super) me: usize,
    pub(super) device_stalls: bool,
    /// What would only be the same again.
    pub(super) done: Vec<Step>,
    pub(super) sink: &'static Sink,
}

impl<M: Machine> Kernel<M> {
    /// Everybody holds both pages: the first is writable, the second is not.
    pub(super) fn new((rig, devices): Booted<M>, theme: &Theme) -> Self {
        let page = |writable| Page {
            frame: None,
            writable,
            stage: Stage::Settled,
        };
        let mut kernel = Self {
            process: rig.process(),
            neighbour: rig.process(),
            pages: [page(true), page(false)],
            by: theme.by,
            cpus: [Does::Runs(Next::Kernel), Does::Runs(Next::Kernel)],
            tickets: [None, None],
            batch: None,
            batch_flush: None,
            ending: None,
            has_ended: false,
            attached: None,
            me: 0,
            device_stalls: false,
            done: Vec::new(),
            sink: lend(Sink::new(rig.model())),
            devices,
            rig,
        };
        for page in 0..PAGES {
            kernel.pages[page].frame = Some(kernel.map_anew(&kernel.process, page));
            kernel.map_anew(&kernel.neighbour, page);
        }
        (0..CPUS).for_each(|cpu| kernel.as_cpu(cpu, M::publish));
        for cpu in 0..=usize::from(theme.is_shared) {
            kernel.go_over(cpu, Next::Process);
        }
        kernel.crowd();
        kernel.attach();
        (0..CPUS).for_each(|cpu| kernel.touch(cpu));
        kernel.device_touch();
        kernel.go_over(0, theme.begins);
        kernel.judge();
        kernel
    }

    /// Takes one of the steps that can be taken; false where none can.
    pub(super) fn step(&mut self, steps: &[Step]) -> bool {
        let possible = steps.iter().filter(|step| self.is_possible(**step));
        let possible: Vec<_> = possible.copied().collect();
        if possible.is_empty() {
            return false;
        }
        let step = possible[choose(possible.len())];
        match step.page() {
            Some(page) => say(format_args!("CPU {}: {step}", self.by[page])),
            None => say(step),
        }
        self.take(step);
        self.judge();
        // Costs are no state.
        self.rig.model().take_counts();
        note(self.rig.model());
        true
    }

    fn is_possible(&self, step: Step) -> bool {
        if self.done.contains(&step) {
            return false;
        }
        match step {
            Step::Unmap(at) => self.can_change(at) && self.pages[at].is_mapped(),
            Step::Narrow(at) => self.can_change(at) && self.pages[at].is_writable(),
            Step::Widen(at) => self.can_widen(at),
            Step::Map(at) => self.can_map(at),
            Step::Flush(at) => self.is_alive() && self.pages[at].change().is_some(),
            Step::Defer(at) => self.can_defer(at),
            Step::FlushBatch => self.batch.is_some() && self.batch_flush.is_none(),
            Step::Look => self.waits(),
            Step::Migrate => self.waits() && !self.is_amid_a_switch(),
            Step::Time => self.devices.is_some(),
            Step::Interrupt(cpu) => self.rig.platform().is_interrupted(cpu),
            Step::Touch(cpu) => {
                matches!(self.cpus[cpu], Does::Runs(Next::Process | Next::Neighbour))
            }
            Step::DeviceTouch => self.attached.is_some(),
            Step::DeviceStalls => self.attached.is_some() && !self.device_stalls,
            Step::DeviceAnswers => self.device_stalls,
            Step::To(cpu, next) => self.can_go_over(cpu, next),
            Step::Begin(cpu) => self.me != cpu && self.can_go_over(cpu, Next::Process),
            Step::Load(cpu) => matches!(self.cpus[cpu], Does::Switches { loaded: false, .. }),
            Step::End(cpu) => matches!(self.cpus[cpu], Does::Switches { loaded: true, .. }),
            Step::Retire => self.can_retire(),
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Look | Step::Touch(_) | Step::DeviceTouch => self.done.push(step),
            _ => self.done.clear(),
        }
        match step {
            Step::Unmap(at) => self.unmap(at),
            Step::Map(at) => self.map(at),
            Step::Narrow(at) => self.protect(at, Rights::ReadOnly, Change::Narrowed),
            Step::Widen(at) => self.widen(at),
            Step::Flush(at) => self.start_flush(at),
            Step::Defer(at) => self.defer(at),
            Step::FlushBatch => self.start_batch_flush(),
            Step::Look => self.look(),
            Step::Migrate => self.migrate(),
            Step::Time => self.rig.model().step(),
            Step::Interrupt(cpu) => {
                self.rig.platform().interrupt(cpu);
            }
            Step::Touch(cpu) => self.touch(cpu),
            Step::DeviceTouch => self.device_touch(),
            Step::DeviceStalls => self.stall_device(true),
            Step::DeviceAnswers => self.stall_device(false),
            Step::To(cpu, next) => self.go_over(cpu, next),
            Step::Begin(cpu) => self.begin_switch(cpu),
            Step::Load(cpu) => self.load_root(cpu),
            Step::End(cpu) => self.end_switch(cpu),
            Step::Retire => self.retire(),
        }
    }

    /// The machine objects to nothing.
    pub(super) fn judge(&self) {
        assert_eq!(self.rig.model().violations(), []);
    }

    pub(super) fn va(&self, page: usize) -> u64 {
        self.rig.layout().address(Half::User(0), page as u64)
    }

    /// The kernel of this CPU does something, and the test goes on where it was.
    pub(super) fn as_cpu<R>(&self, cpu: usize, f: impl FnOnce(&M) -> R) -> R {
        self.rig.platform().set_current(cpu);
        self.rig.enter_kernel(cpu);
        let result = f(&self.rig);
        self.rig.platform().set_current(self.me);
        result
    }
}
