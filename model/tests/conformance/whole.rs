//! A whole port in one call: CPUs that are threads, a process that they run, and a device of software that shares it.

use crate::pages::Pages;
use crate::software::{Defect, KEY, Software};
use crate::threads::{CPUS, Engine, Mask, Threads, engine};
use std::sync::atomic::Ordering;
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::conformance::{
    self, Agent, Attached, Bounds, Cpus, Entry, Failure, PAGES, Passed, Port, Probe, Way, Who,
    Window,
};
use tlb_shootdown_model::{Model, Temper};

type Space = AddressSpace<<Threads as Platform>::Arch, 1>;

struct Whole {
    engine: &'static Engine,
    space: &'static Space,
    user: Pages,
    kernel: Pages,
    device: &'static Software,
}

impl Whole {
    fn new(defect: Defect) -> Self {
        let model = Model::new(CPUS, Temper::Late);
        let engine = engine(Mask::Kept, model.clone());
        let [user, kernel] = Pages::both(&model, &engine.platform().inner);
        let whole = Self {
            engine,
            space: Box::leak(Box::new(engine.new_space())),
            user,
            kernel,
            device: Box::leak(Box::new(Software::new(defect))),
        };
        for cpu in 0..CPUS {
            let cpu = CpuId::new(cpu as u32);
            engine.platform().run_on(cpu, &|| whole.switch());
        }
        // Never detached: the machine is let go of with it.
        let _attachment = engine.attach(whole.space, whole.device, KEY).unwrap();
        whole
    }

    fn switch(&self) {
        let platform = &self.user.platform;
        let irqs_off = self.engine.platform().irq_save();
        let id = self.engine.switch_to(self.space).unwrap();
        platform.load(self.space.id(), self.user.tables.root(), id);
        self.engine.root_loaded();
        drop(irqs_off);
        let cpu = self.user.model.cpu(platform.cpu().index());
        cpu.run_kernel(self.kernel.tables.root());
    }
}

impl Cpus for Whole {
    fn run_on(&self, cpu: CpuId, work: &(dyn Fn() + Sync)) {
        self.engine.platform().run_on(cpu, work);
    }

    fn run_together(&self, work: &(dyn Fn() + Sync)) -> bool {
        self.device
            .together(|| assert!(self.engine.platform().run_together(work)));
        true
    }
}

impl Agent for Whole {
    fn read(&self, page: usize) -> Option<u64> {
        self.user.read(page)
    }

    fn write(&self, page: usize) -> bool {
        self.user.write(page)
    }
}

impl Window for Whole {
    fn page_size(&self) -> PageSize {
        self.user.page_size()
    }

    fn address(&self, page: usize) -> VirtAddr {
        self.user.address(page)
    }

    fn store(&self, page: usize, entry: Entry) {
        self.user.store(page, entry);
        self.device.store(page, entry);
    }
}

impl Probe for Whole {
    fn device(&self) -> Option<&dyn Agent> {
        Some(self.device)
    }

    fn kernel(&self) -> Option<&dyn Window> {
        Some(&self.kernel)
    }

    fn idle(&self) -> bool {
        let platform = self.engine.platform();
        platform.borrows[platform.cpu().index()].store(true, Ordering::SeqCst);
        self.engine.enter_lazy();
        true
    }
}

impl Port<1> for Whole {
    type Platform = Threads;

    fn engine(&self) -> &Engine {
        self.engine
    }

    fn space(&self) -> &Space {
        self.space
    }

    fn secondary(&self) -> Option<Attached<'_>> {
        let page = |number| PageRange::page(self.address(number), self.page_size());
        Some(Attached {
            tlb: self.device,
            key: KEY,
            bounds: Bounds {
                pages: page(0).hull(&page(PAGES - 1)),
                polls: 500,
                room: 1000,
            },
            surroundings: self.device,
        })
    }
}

fn counts(passed: Passed) -> (u32, u32) {
    (passed.checks, passed.skipped)
}

#[test]
fn a_whole_port_is_proven_in_one_call() {
    let proof = conformance::run(&Whole::new(Defect::None)).unwrap();
    assert_eq!(counts(proof.platform), (21, 0));
    // A device of software knows no tables.
    assert_eq!(counts(proof.arch), (29, 2));
    assert_eq!(proof.secondary.map(counts), Some((24, 0)));
    assert_eq!(counts(proof.ending), (1, 0));
    assert!(proof.arch.stale > 0);
}

/// One CPU after another it passes. Whose page is lost depends on who seals first.
#[test]
fn what_is_lost_between_two_cpus_is_found() {
    let failure = conformance::run(&Whole::new(Defect::LosesOthers)).unwrap_err();
    let (way, who) = match failure {
        Failure::Stale { way, who, .. } => (way, who),
        other => panic!("{other}"),
    };
    assert_eq!((way, who), (Way::AtOnce, Who::Device));
}
