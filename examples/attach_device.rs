//! A device shares a process's page table; a page is made writable; the device writes. Once with the notice that the crate gives, once
//! without: `cargo run --example attach_device`.
//!
//! The machine is the model. In a kernel, `ModelPlatform`, `ModelInstructions` and the model's registers are the kernel's `Platform`,
//! `instructions::Asm` and `VolatileMmio`; the calls are the same.

use tlb_shootdown::address::{PageSize, PhysAddr, VirtAddr};
use tlb_shootdown::arch::aarch64::{Aarch64, Config, granule};
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3;
use tlb_shootdown::lock::CriticalSectionLock;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions, SmmuPort};
use tlb_shootdown_model::{Model, Temper};

type Arch = Aarch64<ModelInstructions, 1>;
type Engine = Shootdown<ModelPlatform<Arch>, 1>;
type Smmu = smmuv3::Smmu<SmmuPort, ModelBarriers, CriticalSectionLock>;

const PAGE: u64 = 0x40_0000;
const DEVICE: smmuv3::StreamId = smmuv3::StreamId(3);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let model = Model::new(1, Temper::Late);

    // The engine, one for the machine; every CPU announces itself.
    let platform = ModelPlatform::new(model.clone());
    let arch = Aarch64::new(
        ModelInstructions::new(model.clone()),
        Config::new(granule::Granule::Kib4),
    );
    let engine = Engine::new(platform, arch);
    engine.cpu_online()?;

    // The SMMU, one driver for each, and a device behind it.
    let (smmu, device) = smmu(&model)?;

    // A process with one read-only page.
    let space = engine.new_space();
    let tables = model.tables();
    let frame = model.allocate(0x1000);
    tables.map(0, PAGE, Mapping::page(frame, Rights::ReadOnly));

    // The device is to walk the process's table: a place in the SMMU, told to the engine, and only then visible to the device.
    let context = smmuv3::Context {
        stream: DEVICE,
        substream: None,
    };
    let key = smmu.reserve(&[context], &translation(tables.root()))?;
    let attachment = engine.attach(&space, smmu, key)?;
    smmu.install(key, &mut || true)?;

    show("read-only page, the device reads:", device.read(PAGE));
    show(
        "             and is refused a write:",
        device.write(PAGE, 1),
    );

    // The page becomes writable. The store alone is not enough, however long the device tries.
    tables.protect(0, PAGE, Rights::ReadWrite);
    ModelBarriers::new(model.clone()).publish_tables();
    show("writable in the table, no notice:", device.write(PAGE, 2));
    show(
        "                      and once more:",
        device.write(PAGE, 2),
    );

    let upgrade = Flush::page(VirtAddr::new(PAGE), PageSize::KIB_4);
    let cost = engine.flush_upgrade(&space, upgrade)?;
    show("after flush_upgrade:", device.write(PAGE, 2));
    println!(
        "which took {} SMMU command, {} CMD_SYNC and {} doorbell",
        cost.commands, cost.syncs, cost.doorbells
    );

    // The end, in the opposite order.
    engine.detach(&space, attachment)?;
    smmu.detach(key, &mut || true)?;
    show("detached, the device is refused:", device.write(PAGE, 3));
    Ok(())
}

/// One line: what happens, and how it ended for the device.
fn show(what: &str, outcome: impl std::fmt::Debug) {
    println!("{what:<37}{outcome:?}");
}

/// An SMMU in memory of the model's, brought up, with one device under translation.
fn smmu(model: &Model) -> Result<(&'static Smmu, DevicePort), Box<dyn std::error::Error>> {
    let registers = model.add_smmu(SmmuOptions::default());
    let device = registers.add_device(DEVICE.0, DeviceOptions::default());
    let memory = smmuv3::Memory {
        commands: model.share(16 * 64, 0x1000),
        streams: model.share(64 * 8, 0x1000),
        events: None,
        message: None,
    };
    let smmu: &'static Smmu = Box::leak(Box::new(Smmu::new(
        registers,
        ModelBarriers::new(model.clone()),
        CriticalSectionLock,
        memory,
        smmuv3::Config::new(),
    )?));
    // A kernel bounds its waits by a clock; the model always answers.
    smmu.init(&mut || true)?;
    let setup = smmuv3::StreamSetup {
        stream: DEVICE,
        contexts: model.share(64, 0x1000),
        substream_bits: 0,
        ats: None,
    };
    smmu.add_stream(setup, &mut || true)?;
    Ok((smmu, device))
}

/// What the CPUs' TCR_EL1 and MAIR_EL1 say of the table.
fn translation(root: u64) -> smmuv3::TranslationConfig {
    smmuv3::TranslationConfig {
        root: PhysAddr::new(root),
        t0sz: 16,
        granule: smmuv3::Granule::Kib4,
        ips: 5,
        mair: 0xff,
        shareability: smmuv3::Shareability::Inner,
        inner: smmuv3::Cacheability::WriteBack,
        outer: smmuv3::Cacheability::WriteBack,
        updates: smmuv3::TableUpdates::Software,
        asid: smmuv3::AsidSource::Private,
    }
}
