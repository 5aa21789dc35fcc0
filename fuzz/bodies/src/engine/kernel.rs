//! A small kernel that does what its input says.

use super::device::Device;
use super::sink::{Fate, Sink};
use crate::input::Input;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::Poll;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::x86_64::{Config, X86_64};
use tlb_shootdown::batch::{AddError, Reclaim};
use tlb_shootdown::deadline::Patience;
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{Frames, Item, Ticket};
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::{Model, Temper};

type Arch = X86_64<ModelInstructions, 1>;
type Platform = ModelPlatform<Arch>;
type Open<'m> = (
    usize,
    Vec<u64>,
    Ticket<'m, Platform, 1, Frames<'m, Sink, [Item; 2]>>,
);

const CPUS: usize = 3;
const SPACES: usize = 2;
const PAGES: u64 = 6;
const BASE: u64 = 0x4000_0000;

thread_local! {
    /// One for each thread: what is attached lives for ever.
    static DEVICE: &'static Device = Box::leak(Box::default());
}

/// What lives as long as the run.
pub(super) struct Machine {
    pub(super) model: Model,
    pub(super) sink: Sink,
    platform: Platform,
    engine: Arc<Shootdown<Platform, 1>>,
    kernel_root: u64,
    spaces: Vec<(AddressSpace<Arch, 1>, Tables)>,
    device: &'static Device,
}

impl Machine {
    pub(super) fn new(input: &mut Input<'_>) -> Self {
        let features = input.pick(&[CpuFeatures::PLAIN, CpuFeatures::BROADCASTS]);
        let temper = match input.below(4) {
            0 => Temper::Late,
            seed => Temper::Seeded(seed + (input.below(256) << 2)),
        };
        let model = Model::with_x86_cpus(&[features; CPUS], temper);
        let platform = Platform::new(model.clone());
        let arch = Arch::new(ModelInstructions::new(model.clone()), Config::new());
        let patience = Patience {
            nanoseconds: 50_000,
            turns: 50,
        };
        let engine = Shootdown::with_patience(platform.clone(), arch, patience);
        let engine = Arc::new(engine);
        let handler = Arc::downgrade(&engine);
        platform.set_handler(move || {
            if let Some(engine) = handler.upgrade() {
                engine.on_ipi();
            }
        });
        let device = DEVICE.with(|device| *device);
        *device.state() = Default::default();
        let kernel_root = model.x86_tables().root();
        let spaces = (0..SPACES)
            .map(|_| (engine.new_space(), model.x86_tables()))
            .collect();
        for cpu in 0..CPUS {
            model.cpu(cpu).run_kernel(kernel_root);
            model.cpu(cpu).run_nothing();
            platform.set_current(cpu);
            engine.cpu_online().expect("alike and few");
        }
        engine.arch().seal_features();
        platform.set_current(0);
        Self {
            sink: Sink::new(model.clone(), device),
            model,
            platform,
            engine,
            kernel_root,
            spaces,
            device,
        }
    }

    fn on<R>(&self, cpu: usize, f: impl FnOnce() -> R) -> R {
        let me = self.platform.cpu().index();
        self.platform.set_current(cpu);
        let irqs_off = self.platform.irq_save();
        let result = f();
        drop(irqs_off);
        self.platform.set_current(me);
        result
    }
}

/// What a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Page {
    Mapped(u64),
    /// Unmapped, and what it had is held: not to be mapped before that is over.
    Ending(u64),
}

pub(super) struct Kernel<'m> {
    machine: &'m Machine,
    pages: [BTreeMap<u64, Page>; SPACES],
    open: Vec<Open<'m>>,
    attached: [Option<Attachment>; SPACES],
    runs: [Option<usize>; CPUS],
    online: [bool; CPUS],
    retired: [bool; SPACES],
}

fn address(page: u64) -> u64 {
    BASE + page * 0x1000
}

impl<'m> Kernel<'m> {
    pub(super) fn new(machine: &'m Machine) -> Self {
        Self {
            machine,
            pages: Default::default(),
            open: Vec::new(),
            attached: [None; SPACES],
            runs: [None; CPUS],
            online: [true; CPUS],
            retired: [false; SPACES],
        }
    }

    pub(super) fn step(&mut self, input: &mut Input<'_>) {
        let (cpu, space) = (
            input.below(CPUS as u64) as usize,
            input.below(SPACES as u64) as usize,
        );
        let page = input.below(PAGES);
        match input.below(16) {
            0 | 1 => self.switch(cpu, space),
            2..=4 => self.map(space, page),
            5 | 6 => self.unmap(space, page, input),
            7 | 8 => self.touch(),
            9 => self.look(input),
            10 => self.reclaim(page, input),
            11 => self.attach_or_detach(space),
            12 => self.come_or_go(cpu),
            13 if input.below(4) == 3 => self.retire(space),
            14 => self.mishap(input),
            _ => self.go_on_at(cpu),
        }
        self.settle();
    }

    /// Nothing goes wrong any more: every ticket completes.
    pub(super) fn finish(&mut self) {
        self.calm();
        for (_, _, mut ticket) in self.open.drain(..) {
            ticket.renew();
            assert!(ticket.wait().is_ok(), "everybody answers");
        }
        self.settle();
    }

    fn calm(&self) {
        let mut device = self.machine.device.state();
        (device.full, device.slow, device.errors) = (0, 0, 0);
    }

    fn go_on_at(&self, cpu: usize) {
        if self.online[cpu] {
            // The lock under which tables are changed goes along, so the stores are visible there.
            self.machine.engine.before_migration();
            ModelBarriers::new(self.machine.model.clone()).publish_tables();
            self.machine.platform.migrate(cpu);
        }
    }

    fn switch(&mut self, cpu: usize, space: usize) {
        let machine = self.machine;
        let (of, tables) = &machine.spaces[space];
        let can = self.online[cpu] && !self.retired[space];
        let loaded = machine.on(cpu, || {
            let Ok(id) = machine.engine.switch_to(of) else {
                assert!(!can, "refused without a reason");
                return false;
            };
            machine.platform.load(of.id(), tables.root(), id);
            machine.engine.root_loaded();
            true
        });
        if loaded {
            assert!(can, "a space that is retired, or a CPU that is offline");
            self.runs[cpu] = Some(space);
        }
    }

    fn leave(&mut self, cpu: usize) {
        let machine = self.machine;
        machine.on(cpu, || {
            let id = machine.engine.switch_to_kernel();
            machine.model.cpu(cpu).load(machine.kernel_root, id.0);
            machine.engine.root_loaded();
        });
        self.runs[cpu] = None;
    }

    fn map(&mut self, space: usize, page: u64) {
        if self.retired[space] || self.pages[space].contains_key(&page) {
            return;
        }
        let machine = self.machine;
        let frame = machine.model.allocate(0x1000);
        let me = machine.platform.cpu().index();
        machine.spaces[space]
            .1
            .map(me, address(page), Mapping::page(frame, Rights::ReadWrite));
        self.pages[space].insert(page, Page::Mapped(frame));
    }

    /// Takes a page out of its table; the frame is to be held until nobody uses it.
    fn take(&mut self, space: usize, page: u64) -> Option<u64> {
        let Some(Page::Mapped(frame)) = self.pages[space].get(&page).copied() else {
            return None;
        };
        let me = self.machine.platform.cpu().index();
        self.machine.spaces[space].1.unmap(me, address(page));
        self.pages[space].insert(page, Page::Ending(frame));
        Some(frame)
    }

    /// One or two pages go with one ticket, which stays open.
    fn unmap(&mut self, space: usize, page: u64, input: &mut Input<'_>) {
        let last = (page + input.below(2)).min(PAGES - 1);
        let known: Vec<_> = (page..=last)
            .filter_map(|page| self.take(space, page))
            .collect();
        let range = PageRange::inclusive(
            VirtAddr::new(address(page)),
            VirtAddr::new(address(last)),
            PageSize::KIB_4,
        );
        let mut flush = Flush::pages(range.expect("not empty"));
        if input.flag() {
            flush = flush.leaf_only().leaf_size(PageSize::KIB_4);
        }
        let machine = self.machine;
        let mut frames = Frames::inline::<2>(&machine.sink);
        for frame in &known {
            frames.push(machine.sink.give(*frame)).expect("two places");
        }
        match machine.engine.start(&machine.spaces[space].0, flush) {
            Ok(ticket) => self.open.push((space, known, ticket.holding(frames))),
            Err(error) => assert!(self.retired[space] && known.is_empty(), "{error:?}"),
        }
    }

    /// Looks at a ticket, waits for it, presses it, or drops it.
    fn look(&mut self, input: &mut Input<'_>) {
        if self.open.is_empty() {
            return;
        }
        let index = input.below(self.open.len() as u64) as usize;
        match input.below(4) {
            0 => {
                if let Poll::Ready(Ok(_)) = self.open[index].2.poll() {
                    let (_, frames, _) = self.open.swap_remove(index);
                    self.assert_released(&frames);
                }
            }
            1 => {
                let (space, frames, ticket) = self.open.swap_remove(index);
                match ticket.wait() {
                    Ok(_) => self.assert_released(&frames),
                    Err(unfinished) => self.open.push((space, frames, unfinished.ticket)),
                }
            }
            2 => self.open[index].2.escalate(),
            _ => drop(self.open.swap_remove(index)),
        }
    }

    fn assert_released(&self, frames: &[u64]) {
        for frame in frames {
            assert_eq!(self.machine.sink.fate(*frame), Some(Fate::Released));
        }
    }

    /// One page of each space goes in one batch.
    fn reclaim(&mut self, page: u64, input: &mut Input<'_>) {
        let machine = self.machine;
        let frames = Frames::inline::<SPACES>(&machine.sink);
        let mut batch = Reclaim::<_, 1, 1, _>::holding(&*machine.engine, frames);
        for space in 0..SPACES {
            let Some(frame) = self.take(space, page) else {
                continue;
            };
            let flush = Flush::page(VirtAddr::new(address(page)), PageSize::KIB_4);
            let of = &machine.spaces[space].0;
            let mut added = batch.add(of, flush);
            if added == Err(AddError::Full) {
                let _ = batch.flush();
                added = batch.add(of, flush);
            }
            assert!(matches!(added, Ok(()) | Err(AddError::Full)), "{added:?}");
            let item = machine.sink.give(frame);
            if added.is_err() || batch.held().push(item).is_err() {
                // Somebody has not answered: nothing says that the frame is free.
                machine.sink.lose(frame);
            }
        }
        if input.flag() {
            self.touch();
        }
        let _ = batch.flush();
    }

    /// Everybody who can reads everything, so that there is something to be stale.
    fn touch(&self) {
        let machine = self.machine;
        for page in 0..PAGES {
            for (space, pages) in self.pages.iter().enumerate() {
                let table = match pages.get(&page) {
                    Some(Page::Mapped(frame)) => Some(*frame),
                    _ => None,
                };
                machine
                    .device
                    .state()
                    .read(space as u64, address(page), table);
            }
            for cpu in 0..CPUS {
                if self.runs[cpu].is_some() {
                    let _ = machine.model.cpu(cpu).read(address(page));
                }
            }
        }
    }

    fn attach_or_detach(&mut self, space: usize) {
        let machine = self.machine;
        let (engine, of) = (&machine.engine, &machine.spaces[space].0);
        match self.attached[space] {
            None => {
                let attached = engine.attach(of, machine.device, AttachKey(space as u64));
                assert_eq!(attached.is_err(), self.retired[space], "{attached:?}");
                self.attached[space] = attached.ok();
                if attached.is_ok() {
                    machine.device.state().start_walks(space as u64);
                }
            }
            Some(attachment) => {
                if engine.detach(of, attachment).is_ok() {
                    assert!(!machine.device.state().walks(space as u64));
                    self.attached[space] = None;
                }
            }
        }
    }

    fn come_or_go(&mut self, cpu: usize) {
        let machine = self.machine;
        if cpu == machine.platform.cpu().index() {
            return;
        }
        if self.online[cpu] {
            self.leave(cpu);
            machine.on(cpu, || machine.engine.cpu_offline());
        } else {
            machine.on(cpu, || machine.engine.cpu_online().expect("alike"));
        }
        self.online[cpu] = !self.online[cpu];
    }

    fn retire(&mut self, space: usize) {
        for cpu in 0..CPUS {
            if self.runs[cpu] == Some(space) {
                self.leave(cpu);
            }
        }
        // A ticket of a space that is gone has nobody left to wait for.
        if self.open.iter().any(|open| open.0 == space) || !self.is_quiet(space) {
            return;
        }
        self.calm();
        let machine = self.machine;
        match machine.engine.retire(&machine.spaces[space].0) {
            Ok(ticket) => {
                assert!(!self.retired[space], "retired twice");
                assert!(ticket.wait().is_ok(), "everybody answers");
                assert!(!machine.device.state().walks(space as u64));
                self.retired[space] = true;
            }
            Err(_) => assert!(self.retired[space] || machine.spaces[space].0.is_flush_pending()),
        }
    }

    /// Nothing of it is mapped, or on its way out.
    fn is_quiet(&self, space: usize) -> bool {
        self.pages[space].is_empty()
    }

    /// The device finds no room, does not answer for some time, or has an error.
    fn mishap(&self, input: &mut Input<'_>) {
        let mut device = self.machine.device.state();
        match input.below(3) {
            0 => device.full = input.below(3),
            1 => device.slow = input.pick(&[1, 5, 200]),
            _ => device.errors = input.below(3),
        }
    }

    /// Pages whose frames are free again can be mapped again.
    fn settle(&mut self) {
        let machine = self.machine;
        for (pages, (_, tables)) in self.pages.iter_mut().zip(&machine.spaces) {
            pages.retain(|page, state| {
                let is_over = match state {
                    Page::Mapped(_) => false,
                    Page::Ending(frame) => machine.sink.fate(*frame) == Some(Fate::Released),
                };
                if is_over {
                    let first = address(*page);
                    machine.model.returned(tables.root(), first, first | 0xfff);
                }
                !is_over
            });
        }
    }
}
