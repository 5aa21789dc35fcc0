//! Every run of a small machine: two CPUs that both change one process's table, two pages, and a device behind a VT-d unit.

use crate::faulty::Defect;
use crate::random_kernel::{Devices as _, Machine as _, is_a_night};
use crate::rig::{Parts, Platform, Process, Rig};
use crate::vtd::{VtdDevices, units};
use core::task::Poll;
use std::panic::catch_unwind;
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::ticket::Ticket;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::x86_64::CpuFeatures;
use tlb_shootdown_model::explore::{Bounds, Explored, choose, explore, note, quietly};
use tlb_shootdown_model::memory::{Mapping, descriptor::Rights};

/// The page that each CPU unmaps.
const PAGES: [u64; 2] = [0x4000_0000, 0x4000_1000];

/// The device's context that has a TLB of its own.
const CONTEXT: usize = 0;

/// More than anybody takes to answer.
const PATIENCE: usize = 200;

struct World {
    rig: Rig,
    devices: VtdDevices,
    process: Process,
    frames: [u64; 2],
    /// Which CPU's page is unmapped and not known to be flushed.
    tickets: [Option<Ticket<'static, Platform, 1>>; 2],
    is_mapped: [bool; 2],
    /// Whether CPU 1 runs the process.
    runs: bool,
}

impl World {
    /// Both CPUs and the device hold both pages.
    fn new(defect: Defect) -> Self {
        let parts = Parts {
            defect,
            ..Parts::new(CpuFeatures::PLAIN, Temper::Explored)
        };
        let rig = Rig::new(parts);
        let devices = VtdDevices::new(&rig, units()[0], false);
        let process = rig.process();
        let frames = PAGES.map(|va| {
            let frame = rig.model.allocate(0x1000);
            let page = Mapping::page(frame, Rights::ReadWrite);
            process.tables.map(0, va, page);
            frame
        });
        rig.publish();
        [0, 1].into_iter().for_each(|cpu| rig.switch(cpu, &process));
        devices.attach(&rig, CONTEXT, &process).unwrap();
        let world = Self {
            rig,
            devices,
            process,
            frames,
            tickets: [None, None],
            is_mapped: [true; 2],
            runs: true,
        };
        PAGES
            .into_iter()
            .for_each(|va| world.everybody_reads(va, true));
        world
    }

    fn everybody_reads(&self, va: u64, expected: bool) {
        for cpu in 0..=usize::from(self.runs) {
            let read = self.rig.cpu(cpu).read(va);
            assert_eq!(read.is_ok(), expected, "CPU {cpu} at {va:#x}");
        }
        let read = self.devices.read(CONTEXT, va);
        assert_eq!(read, expected, "the device at {va:#x}");
    }

    /// A CPU unmaps its page and starts the flush.
    fn unmap(&mut self, cpu: usize) {
        if !core::mem::replace(&mut self.is_mapped[cpu], false) {
            return;
        }
        self.rig.platform.set_current(cpu);
        self.rig.enter_kernel(cpu);
        self.process.tables.unmap(cpu, PAGES[cpu]);
        let flush = Flush::page(VirtAddr::new(PAGES[cpu]), PageSize::KIB_4);
        let started = self.rig.engine().start(self.process.space, flush);
        self.tickets[cpu] = Some(started.unwrap());
        self.rig.platform.set_current(0);
    }

    /// One look at a ticket; when everybody has answered the frame is free.
    fn poll(&mut self, cpu: usize) {
        let Some(ticket) = &mut self.tickets[cpu] else {
            return;
        };
        if let Poll::Ready(result) = ticket.poll() {
            result.unwrap();
            self.tickets[cpu] = None;
            let (root, va) = (self.process.tables.root(), PAGES[cpu]);
            self.rig.model.returned(root, va, va + 0xfff);
            self.rig.model.free(self.frames[cpu]);
        }
    }

    fn switch(&mut self) {
        self.runs = !self.runs;
        if self.runs {
            self.rig.switch(1, &self.process);
        } else {
            self.rig.switch_to_kernel(1);
        }
    }

    fn step(&mut self) {
        match choose(8) {
            0 => self.unmap(0),
            1 => self.unmap(1),
            2 if self.runs => drop(self.rig.cpu(1).read(PAGES[0])),
            3 if self.runs => drop(self.rig.cpu(1).read(PAGES[1])),
            4 => drop(self.devices.read(CONTEXT, PAGES[0])),
            5 => self.switch(),
            6 => self.rig.platform.relax(),
            7 => [0, 1].into_iter().for_each(|cpu| self.poll(cpu)),
            _ => {}
        }
        note(&self.rig.model);
        assert_eq!(self.rig.model.violations(), []);
    }

    /// Everybody answers in the end, and nobody has what is gone.
    fn end(&mut self) {
        for _ in 0..PATIENCE {
            self.rig.platform.relax();
            self.rig.model.step();
            [0, 1].into_iter().for_each(|cpu| self.poll(cpu));
        }
        assert!(self.tickets.iter().all(Option::is_none), "nobody is late");
        for (va, is_mapped) in PAGES.into_iter().zip(self.is_mapped) {
            self.everybody_reads(va, is_mapped);
        }
        assert_eq!(self.rig.model.violations(), []);
    }
}

fn explored(steps: usize, deviations: usize, defect: Defect) -> Explored {
    let bounds = Bounds {
        deviations,
        runs: u64::MAX,
    };
    let explored = explore(bounds, || {
        let mut world = quietly(|| World::new(defect));
        (0..steps).for_each(|_| world.step());
        quietly(|| world.end());
    });
    assert!(explored.is_complete);
    println!("{steps} steps, {deviations} deviations of the machine: {explored:?}");
    explored
}

/// Whatever the CPUs and the device do, each in its turn, on a machine that is as late as may be.
#[test]
fn promise_03_nothing_stale_in_any_run() {
    let steps = if is_a_night() { 4 } else { 3 };
    let explored = explored(steps, 0, Defect::None);
    assert_eq!(explored.runs, 8_u64.pow(steps as u32));
}

/// The same where the machine is early, speculates or evicts in some place.
#[test]
fn promise_03_nothing_stale_in_any_run_with_a_deviation() {
    let (steps, deviations) = if is_a_night() { (3, 2) } else { (2, 1) };
    let explored = explored(steps, deviations, Defect::None);
    assert!(explored.runs > 8_u64.pow(steps as u32));
}

#[test]
fn exploration_finds_what_is_left_out() {
    for defect in [Defect::NoPage, Defect::WrongPage] {
        let found = catch_unwind(|| explored(2, 0, defect));
        assert!(found.is_err(), "{defect:?}");
    }
}
