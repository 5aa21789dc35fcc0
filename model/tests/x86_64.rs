//! The x86-64 CPUs: each rule of the architecture with the defect that shows when it is broken. Operands are literals.

use tlb_shootdown::arch::x86_64::instructions::Instructions;
use tlb_shootdown_model::cpu::x86_64::{CpuFeatures, ModelInstructions};
use tlb_shootdown_model::cpu::{CpuPort, Fault};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::ModelPlatform;
use tlb_shootdown_model::{Model, Temper};

const VA: u64 = 0x40_0000;
const KERNEL: u64 = 0xffff_8000_0040_0000;
const NO_FLUSH: u64 = 1 << 63;

struct Rig {
    model: Model,
    platform: ModelPlatform<()>,
    cpus: [CpuPort; 2],
    tables: Tables,
    kernel: Tables,
    on: ModelInstructions,
}

impl Rig {
    /// Two CPUs run two pages under PCID 5, and one global one of the kernel's; the test is CPU 0.
    fn new(features: CpuFeatures) -> Self {
        let model = Model::with_x86_cpus(&[features; 2], Temper::Late);
        let rig = Self {
            platform: ModelPlatform::new(model.clone()),
            cpus: [model.cpu(0), model.cpu(1)],
            tables: model.x86_tables(),
            kernel: model.x86_tables(),
            on: ModelInstructions::new(model.clone()),
            model,
        };
        rig.platform.set_current(0);
        for va in [VA, VA + 0x1000] {
            let frame = rig.model.allocate(0x1000);
            rig.tables
                .map(0, va, Mapping::page(frame, Rights::ReadOnly));
        }
        let frame = rig.model.allocate(0x1000);
        let mapping = Mapping {
            global: true,
            ..Mapping::page(frame, Rights::ReadWrite)
        };
        rig.kernel.map(0, KERNEL, mapping);
        rig.on.mfence();
        let pcid = if features.pcid { 5 } else { 0 };
        for cpu in &rig.cpus {
            cpu.run_kernel(rig.kernel.root());
            cpu.load(rig.tables.root(), pcid);
        }
        rig.returned();
        rig.model.take_counts();
        rig
    }

    fn plain() -> Self {
        Self::new(CpuFeatures::PLAIN)
    }

    /// Both CPUs have everything cached, and it is unmapped, visibly.
    fn unmap(&self) {
        self.touch();
        self.tables.unmap(0, VA);
        self.tables.unmap(0, VA + 0x1000);
        self.kernel.unmap(0, KERNEL);
        self.on.mfence();
    }

    fn touch(&self) {
        for cpu in &self.cpus {
            cpu.read(VA).unwrap();
            cpu.read(VA + 0x1000).unwrap();
            cpu.read(KERNEL).unwrap();
        }
    }

    /// Whether this CPU still uses the two pages, and the kernel's.
    fn uses(&self, cpu: usize) -> [bool; 3] {
        [VA, VA + 0x1000, KERNEL].map(|va| self.cpus[cpu].read(va).is_ok())
    }

    fn cr3(&self) -> u64 {
        self.on.read_cr3()
    }

    /// What must not be; nobody is pinned in these tests.
    fn violations(&self) -> Vec<Violation> {
        let mut all = self.model.violations();
        all.retain(|violation| *violation != Violation::NotPinned { cpu: 0 });
        all
    }

    fn returned(&self) {
        self.model.returned(self.tables.root(), 0, u64::MAX);
        self.model.returned(self.kernel.root(), 0, u64::MAX);
    }
}

#[test]
fn a_fault_drops_the_entry_that_it_came_from() {
    let rig = Rig::plain();
    rig.touch();
    rig.tables.protect(0, VA, Rights::ReadWrite);
    rig.on.mfence();
    assert_eq!(rig.cpus[0].write(VA, 1), Err(Fault::Permission));
    assert_eq!(rig.cpus[0].write(VA, 1), Ok(()));
}

#[test]
fn invlpg_drops_one_page_here_and_global_ones_too() {
    let rig = Rig::plain();
    rig.unmap();
    rig.on.invlpg(VA);
    assert_eq!(rig.uses(0), [false, true, true]);
    rig.on.invlpg(KERNEL);
    assert_eq!(rig.uses(0), [false, true, false]);
    assert_eq!(rig.uses(1), [true, true, true]);
}

#[test]
fn invlpg_drops_every_walk_cache_of_the_current_pcid() {
    let rig = Rig::plain();
    rig.touch();
    let table = rig.tables.unhang_table(0, VA).unwrap();
    rig.on.mfence();
    // Another page altogether.
    rig.on.invlpg(0x7000_0000);
    rig.returned();
    rig.model.free(table);
    rig.cpus[0].speculate(VA);
    let held = rig.violations();
    let by = |cpu| {
        let of = |v: &&Violation| matches!(v, Violation::HeldStale { holder: Holder::Cpu(c), .. } if *c == cpu);
        held.iter().filter(of).count()
    };
    // Its leaf entries stay: INVLPG of another page is not bound to drop them.
    assert_eq!((by(0), by(1)), (2, 3));
}

#[test]
fn invpcid_drops_what_its_type_says() {
    let of = |kind: u64, descriptor: [u64; 2]| {
        let rig = Rig::plain();
        rig.unmap();
        rig.on.invpcid(kind, descriptor);
        assert_eq!(rig.uses(1), [true, true, true]);
        rig.uses(0)
    };
    assert_eq!(of(0, [5, VA]), [false, true, true]);
    assert_eq!(of(0, [6, VA]), [true, true, true]);
    assert_eq!(of(0, [5, KERNEL]), [true, true, true]);
    assert_eq!(of(1, [5, 0]), [false, false, true]);
    assert_eq!(of(1, [6, 0]), [true, true, true]);
    assert_eq!(of(2, [0, 0]), [false, false, false]);
    assert_eq!(of(3, [0, 0]), [false, false, true]);
}

#[test]
fn cr3_drops_its_pcid_unless_told_to_keep_it() {
    let rig = Rig::plain();
    rig.unmap();
    rig.on.write_cr3(rig.cr3() | NO_FLUSH);
    assert_eq!(rig.cr3() & NO_FLUSH, 0);
    assert_eq!(rig.uses(0), [true, true, true]);
    rig.on.write_cr3(rig.cr3());
    assert_eq!(rig.uses(0), [false, false, true]);
}

#[test]
fn entries_stay_under_a_pcid_that_is_not_loaded() {
    let rig = Rig::plain();
    rig.unmap();
    let here = &rig.cpus[0];
    here.load(rig.tables.root(), 6);
    assert_eq!(here.read(VA), Err(Fault::Translation));
    // Nobody can use them, so nobody minds; but the kernel's are.
    rig.model.returned(rig.tables.root(), 0, u64::MAX);
    let at_home = |v: &Violation| {
        matches!(
            v,
            Violation::HeldStale {
                holder: Holder::Cpu(0),
                ..
            }
        )
    };
    assert!(!rig.violations().iter().any(at_home));
    here.load(rig.tables.root(), 5 | NO_FLUSH);
    assert!(rig.violations().iter().any(at_home));
    assert_eq!(here.read(VA), Ok(0));
}

#[test]
fn another_space_under_the_same_pcid_finds_the_former_entries() {
    let rig = Rig::plain();
    rig.touch();
    let other = rig.model.x86_tables();
    rig.cpus[0].load(other.root(), 5 | NO_FLUSH);
    assert!(rig.cpus[0].read(VA).is_ok());
    let holder = Holder::Cpu(0);
    let foreign = Violation::UsedForeign { holder, va: VA };
    assert!(rig.violations().contains(&foreign));
}

#[test]
fn toggling_pge_drops_everything() {
    for change in [0x80, 0] {
        let rig = Rig::plain();
        rig.unmap();
        let cr4 = rig.on.read_cr4();
        rig.on.write_cr4(cr4 ^ change);
        rig.on.write_cr4(cr4);
        assert_eq!(rig.uses(0), [change == 0; 3]);
    }
}

/// Without PCIDs everything is under PCID 0, and bit 63 of CR3 and other PCIDs fault.
#[test]
fn without_pcids_there_is_one_tag() {
    let rig = Rig::new(CpuFeatures {
        pcid: false,
        ..CpuFeatures::PLAIN
    });
    rig.unmap();
    rig.on.write_cr3(rig.cr3());
    assert_eq!(rig.uses(0), [false, false, true]);
    assert_eq!(rig.violations(), []);
    let undefined = [Violation::Undefined { cpu: 0 }];
    rig.on.write_cr3(rig.cr3() | NO_FLUSH);
    assert_eq!(rig.violations(), undefined);
    for kind in [0, 1] {
        rig.on.invpcid(kind, [5, 0]);
        assert_eq!(rig.violations(), undefined);
    }
}

#[test]
fn reserved_operands_and_missing_instructions_are_undefined() {
    let undefined = [Violation::Undefined { cpu: 0 }];
    let rig = Rig::new(CpuFeatures::BROADCASTS);
    rig.on.invpcid(4, [0, 0]);
    assert_eq!(rig.violations(), undefined);
    rig.on.invpcid(1, [0x1000, 0]);
    assert_eq!(rig.violations(), undefined);
    rig.on.invpcid(0, [5, 0x8000_0000_0000]);
    assert_eq!(rig.violations(), undefined);
    // A reserved flag, five addresses where four are allowed, a reserved bit of each register.
    for (rax, ecx, edx) in [
        (0x44, 0, 0),
        (0x5, 4, 0),
        (0x4, 1 << 16, 0),
        (0x4, 0, 1 << 28),
    ] {
        rig.on.invlpgb(rax, ecx, edx);
        assert_eq!(rig.violations(), undefined);
    }
    let without = Rig::new(CpuFeatures {
        invpcid: false,
        ..CpuFeatures::PLAIN
    });
    without.on.invpcid(2, [0, 0]);
    without.on.invlpgb(0xc, 0, 0);
    without.on.tlbsync();
    assert_eq!(without.violations().len(), 3);
}

/// RAX: 1 VA, 2 PCID, 4 ASID, 8 globals, 10h final only.
#[test]
fn invlpgb_drops_what_it_names_everywhere() {
    let of = |rax: u64, ecx: u32, edx: u32| {
        let rig = Rig::new(CpuFeatures::BROADCASTS);
        rig.unmap();
        rig.on.invlpgb(rax, ecx, edx);
        rig.on.tlbsync();
        assert_eq!(rig.uses(0), rig.uses(1));
        rig.uses(1)
    };
    assert_eq!(of(VA | 0x7, 0, 5 << 16), [false, true, true]);
    assert_eq!(of(VA | 0x7, 1, 5 << 16), [false, false, true]);
    assert_eq!(of(VA | 0x7, 1 << 31 | 1, 5 << 16), [false, true, true]);
    assert_eq!(of(VA | 0x7, 1, 6 << 16), [true, true, true]);
    assert_eq!(of(KERNEL | 0x5, 0, 0), [true, true, true]);
    assert_eq!(of(KERNEL | 0xd, 0, 0), [true, true, false]);
    assert_eq!(of(0x6, 0, 5 << 16), [false, false, true]);
    assert_eq!(of(0x4, 0, 0), [false, false, true]);
    assert_eq!(of(0xc, 0, 0), [false, false, false]);
    // A guest's ASID: nothing of the host's goes.
    assert_eq!(of(0xc, 0, 1), [true, true, true]);
}

#[test]
fn invlpgb_is_under_way_until_tlbsync_of_its_own_cpu() {
    let rig = Rig::new(CpuFeatures::BROADCASTS);
    rig.unmap();
    rig.on.invlpgb(0x6, 0, 5 << 16);
    rig.on.mfence();
    assert_eq!(rig.uses(1), [true; 3]);
    rig.platform.set_current(1);
    rig.on.tlbsync();
    rig.platform.set_current(0);
    assert_eq!(rig.uses(1), [true; 3]);
    rig.on.tlbsync();
    assert_eq!(rig.uses(1), [false, false, true]);
}

/// Weakly ordered: it may come before the stores that it is about, and the walkers fetch the old entries again.
#[test]
fn invlpgb_overtakes_stores() {
    let rig = Rig::new(CpuFeatures::BROADCASTS);
    rig.touch();
    rig.tables.unmap(0, VA);
    rig.on.invlpgb(0x6, 0, 5 << 16);
    rig.on.tlbsync();
    assert!(rig.cpus[1].read(VA).is_ok());
}

#[test]
fn invlpgb_without_an_asid_reaches_guests() {
    let rig = Rig::new(CpuFeatures::BROADCASTS);
    rig.on.invlpgb(0x8, 0, 0);
    let reached = [Violation::ReachedGuests { cpu: 0 }];
    assert_eq!(rig.violations(), reached);
}

/// Under KPTI a process runs under a PCID of its own, without the kernel's half.
#[test]
fn a_process_without_the_kernel_has_entries_of_its_own() {
    let rig = Rig::plain();
    rig.unmap();
    let here = &rig.cpus[0];
    here.exit_to_user(0x805);
    assert_eq!(rig.uses(0), [false; 3]);
    assert!(here.enter_kernel());
    assert!(!here.enter_kernel());
    // The fault dropped the global one.
    assert_eq!(rig.uses(0), [true, true, false]);
}

/// Nobody accesses user addresses on a borrowed root, so their entries may be old; tables and the kernel's may not.
#[test]
fn a_borrowed_root_excuses_user_pages() {
    let rig = Rig::plain();
    rig.unmap();
    rig.on.invlpg(KERNEL);
    rig.cpus[0].enter_lazy();
    rig.returned();
    let mine = |v: &Violation| {
        matches!(
            v,
            Violation::HeldStale {
                holder: Holder::Cpu(0),
                ..
            }
        )
    };
    assert!(!rig.violations().iter().any(mine));
    rig.cpus[0].load(rig.tables.root(), 5 | NO_FLUSH);
    assert!(rig.violations().iter().any(mine));
}
