//! Two CPUs that run one process, driven by raw operands: nothing of the library's is used here.

use tlb_shootdown::arch::powerpc::instructions::Instructions;
use tlb_shootdown_model::cpu::CpuPort;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::ModelPlatform;
use tlb_shootdown_model::{Model, Temper};

/// Two pages of 4 KiB in neighbouring classes (0 and 1), and one of 2 MiB in class 2.
pub(crate) const VA: u64 = 0x40_0000;
pub(crate) const NEXT: u64 = VA + 0x1000;
pub(crate) const HUGE: u64 = 0x2040_0000;
/// Quadrant 3.
pub(crate) const KERNEL: u64 = 0xc000_0000_0040_0000;

pub(crate) const PID: u32 = 5;
/// RS of PID 5, LPID 0.
pub(crate) const RS: u64 = 0x5_0000_0000;
/// RB, bits 52:53: by PID, by LPID, all.
pub(crate) const BY_PID: u64 = 0x400;
pub(crate) const BY_LPID: u64 = 0x800;
pub(crate) const ALL: u64 = 0xc00;
/// RB, bits 56:58, of 64 KiB, 2 MiB and 1 GiB.
pub(crate) const AP_64K: u64 = 0xa0;
pub(crate) const AP_2M: u64 = 0x20;
pub(crate) const AP_1G: u64 = 0x40;

pub(crate) struct Rig {
    pub(crate) model: Model,
    pub(crate) platform: ModelPlatform<()>,
    pub(crate) cpus: [CpuPort; 2],
    pub(crate) tables: Tables,
    pub(crate) kernel: Tables,
    pub(crate) on: ModelInstructions,
}

impl Rig {
    /// Both CPUs run PID 5; the test is CPU 0.
    pub(crate) fn new(features: CpuFeatures) -> Self {
        let model = Model::with_power_cpus(&[features; 2], Temper::Late);
        let rig = Self {
            platform: ModelPlatform::new(model.clone()),
            cpus: [model.cpu(0), model.cpu(1)],
            tables: model.radix_tables(),
            kernel: model.radix_tables(),
            on: ModelInstructions::new(model.clone()),
            model,
        };
        rig.platform.set_current(0);
        rig.map(VA, 3);
        rig.map(NEXT, 3);
        rig.map(HUGE, 2);
        let frame = rig.model.allocate(0x1000);
        let page = Mapping::page(frame, Rights::ReadWrite);
        rig.kernel.map(0, KERNEL, page);
        rig.on.ptesync();
        for cpu in &rig.cpus {
            cpu.run_kernel(rig.kernel.root());
            cpu.load(rig.tables.root(), PID.into());
        }
        rig.returned();
        rig.model.take_counts();
        rig
    }

    /// Without the defects of `tlbie`, so that one rule shows at a time.
    pub(crate) fn power9() -> Self {
        Self::new(CpuFeatures {
            erat_defect: false,
            store_queue_defect: false,
            ..CpuFeatures::POWER9
        })
    }

    pub(crate) fn power10() -> Self {
        Self::new(CpuFeatures::POWER10)
    }

    fn map(&self, va: u64, level: u8) {
        let frame = self
            .model
            .allocate(if level == 3 { 0x1000 } else { 0x20_0000 });
        let mapping = Mapping {
            level,
            ..Mapping::page(frame, Rights::ReadWrite)
        };
        self.tables.map(0, va, mapping);
    }

    pub(crate) fn touch(&self) {
        for cpu in &self.cpus {
            for va in [VA, NEXT, HUGE, KERNEL] {
                cpu.read(va).unwrap();
            }
        }
    }

    /// Both CPUs have everything cached, and it is unmapped, visibly.
    pub(crate) fn unmap(&self) {
        self.touch();
        for va in [VA, NEXT, HUGE] {
            self.tables.unmap(0, va);
        }
        self.kernel.unmap(0, KERNEL);
        self.on.ptesync();
    }

    /// Which of the pages a CPU still uses: the small ones, the large one, the kernel's.
    pub(crate) fn uses(&self, cpu: usize) -> [bool; 4] {
        [VA, NEXT, HUGE, KERNEL].map(|va| self.cpus[cpu].read(va).is_ok())
    }

    /// What completes a `tlbie`.
    pub(crate) fn close(&self) {
        self.on.eieio();
        self.on.tlbsync();
        self.on.ptesync();
    }

    /// What completes a `tlbiel`, the ERAT included.
    pub(crate) fn close_here(&self) {
        self.on.ptesync();
        self.on.slbia_ih3();
        self.on.isync();
    }

    pub(crate) fn returned(&self) {
        self.model.returned(self.tables.root(), 0, u64::MAX);
        self.model.returned(self.kernel.root(), 0, u64::MAX);
    }

    /// What must not be; nobody is pinned in these tests.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut all = self.model.violations();
        all.retain(|violation| !matches!(violation, Violation::NotPinned { .. }));
        all
    }

    /// Whether this CPU holds what it must not.
    pub(crate) fn holds_stale(&self, cpu: usize) -> bool {
        let by = Holder::Cpu(cpu);
        let is_its =
            |v: &Violation| matches!(v, Violation::HeldStale { holder, .. } if *holder == by);
        self.violations().iter().any(is_its)
    }
}

pub(crate) const UNDEFINED: [Violation; 1] = [Violation::Undefined { cpu: 0 }];
