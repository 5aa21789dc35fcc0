//! What is dropped although nobody asked for it.

use crate::reuse::smmu::{ASID, PAGE, Rig, SID, SYNC, TLBI_PAGE};
use crate::{VA, aarch64, map, power, x86};
use tlb_shootdown::arch::aarch64::instructions::Instructions as _;
use tlb_shootdown::arch::powerpc::instructions::Instructions as _;
use tlb_shootdown::arch::x86_64::instructions::Instructions as _;
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::cpu::{ModelInstructions, powerpc, x86_64};
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

/// Both CPUs hold four pages, and the first of them is unmapped.
fn unmapped(model: &Model, make: fn(&Model) -> Tables) -> Tables {
    let tables = make(model);
    (0..4).for_each(|page| _ = map(model, &tables, VA + page * 0x1000));
    let fence = ModelBarriers::new(model.clone());
    fence.publish_tables();
    for cpu in [0, 1] {
        model.cpu(cpu).load(tables.root(), 5);
        (0..4).for_each(|page| _ = model.cpu(cpu).read(VA + page * 0x1000).unwrap());
    }
    tables.unmap(0, VA);
    fence.publish_tables();
    model.take_over_flush();
    tables
}

/// What CPUs have dropped beside what was asked for, elsewhere, and at all.
fn of_cpus(model: &Model) -> [u32; 3] {
    let over = model.take_over_flush();
    assert_eq!((over.iommus, over.devices), (0, 0));
    [over.cpus, over.elsewhere, over.dropped]
}

#[test]
fn a_page_alone_is_no_over_flush() {
    let model = aarch64();
    unmapped(&model, Model::tables);
    let on = ModelInstructions::new(model.clone());
    on.tlbi_vale1is(5 << 48 | VA >> 12);
    on.dsb_ish();
    assert_eq!(of_cpus(&model), [0, 0, 2]);

    let model = x86();
    unmapped(&model, Model::x86_tables);
    let on = x86_64::ModelInstructions::new(model.clone());
    on.invlpg(VA);
    on.invlpgb(VA | 0b111, 0, 5 << 16);
    on.tlbsync();
    assert_eq!(of_cpus(&model), [0, 0, 2]);

    let model = power();
    unmapped(&model, Model::radix_tables);
    let on = powerpc::ModelInstructions::new(model.clone());
    on.tlbie_ric0_prs1(VA, 5 << 32);
    on.eieio();
    on.tlbsync();
    on.ptesync();
    assert_eq!(of_cpus(&model), [0, 0, 2]);
}

/// A page counts once, by however many CPUs it is dropped.
#[test]
fn a_range_that_is_too_wide_and_a_whole_space_are_counted() {
    let model = aarch64();
    let tables = unmapped(&model, Model::tables);
    let on = ModelInstructions::new(model.clone());
    // Two pages: TG of 4 KiB, SCALE and NUM 0.
    on.tlbi_rvale1is(5 << 48 | 1 << 46 | VA >> 12);
    on.dsb_ish();
    assert_eq!(
        of_cpus(&model),
        [0, 1, 4],
        "nobody asked for anything of the tree"
    );
    model.asks_for(tables.root(), VA, VA + 0xfff);
    on.tlbi_aside1is(5 << 48);
    on.dsb_ish();
    assert_eq!(of_cpus(&model), [2, 0, 4]);
}

/// What was asked for is asked for, changed or not.
#[test]
fn what_the_caller_asked_for_is_no_over_flush() {
    let model = aarch64();
    let tables = unmapped(&model, Model::tables);
    let on = ModelInstructions::new(model.clone());
    model.asks_for(tables.root(), 0, u64::MAX);
    on.tlbi_aside1is(5 << 48);
    on.dsb_ish();
    assert_eq!(of_cpus(&model), [0, 0, 8]);
}

/// INVPCID of the whole PCID, CR3, and CR4 are instructions of the library's; a root that the kernel loads is not.
#[test]
fn every_wide_form_of_x86_64_is_counted() {
    let forms: [fn(&x86_64::ModelInstructions); 3] = [
        |on| on.invpcid(1, [5, 0]),
        |on| on.write_cr3(on.read_cr3()),
        |on| {
            on.write_cr4(on.read_cr4() ^ 1 << 7);
            on.write_cr4(on.read_cr4() ^ 1 << 7);
        },
    ];
    for form in forms {
        let model = x86();
        let tables = unmapped(&model, Model::x86_tables);
        model.asks_for(tables.root(), VA, VA + 0xfff);
        form(&x86_64::ModelInstructions::new(model.clone()));
        assert_eq!(of_cpus(&model)[..2], [3, 0]);
    }
    let model = x86();
    let tables = unmapped(&model, Model::x86_tables);
    model.cpu(0).load(tables.root(), 5);
    assert_eq!(of_cpus(&model), [0, 0, 0]);
}

#[test]
fn an_smmu_and_its_device_are_counted_apart() {
    let ats = DeviceOptions {
        ats: true,
        refills: false,
        ..DeviceOptions::default()
    };
    let mut rig = Rig::new(SmmuOptions::default(), ats);
    let frame = rig.model.allocate(0x1000);
    let next = PAGE + 0x1000;
    rig.tables
        .map(0, next, Mapping::page(frame, Rights::ReadOnly));
    rig.barriers.publish_tables();
    rig.device.read(PAGE).unwrap();
    rig.device.read(next).unwrap();
    rig.tables.unmap(0, PAGE);
    rig.barriers.publish_tables();
    let root = rig.tables.root();
    let mut run = |own, device| {
        rig.model.asks_for(root, PAGE, PAGE + 0xfff);
        rig.run(&[own, SYNC, device, SYNC]);
        let over = rig.model.take_over_flush();
        [over.iommus, over.devices, over.dropped]
    };
    let device = |size| (u64::from(SID) << 32 | 0x40, PAGE | size);
    assert_eq!(run(TLBI_PAGE, device(0)), [0, 0, 2]);
    // Everything under the ASID, and two pages of the device's.
    assert_eq!(run((ASID << 48 | 0x11, 0), device(1)), [1, 1, 2]);
}
