//! Invalidations that were asked for, and that nobody has done when all is said to be over.

use crate::reuse::smmu::{PAGE, Rig, SID, SYNC, TLBI_PAGE, put};
use crate::{VA, aarch64, map, power, x86};
use tlb_shootdown::arch::aarch64::instructions::Instructions as _;
use tlb_shootdown::arch::powerpc::instructions::Instructions as _;
use tlb_shootdown::arch::x86_64::instructions::Instructions as _;
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::cpu::{ModelInstructions, powerpc, x86_64};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

/// What is said to be over on this page.
fn settled(model: &Model, tables: &Tables, va: u64) -> Vec<Violation> {
    model.settled(tables.root(), va, va + 0xfff);
    model.violations()
}

fn lost(holder: Holder, va: u64) -> Violation {
    Violation::LostRequest { holder, va }
}

/// Nobody holds anything, and still the barrier is missed.
#[test]
fn an_instruction_is_not_waited_for() {
    let by_cpu = lost(Holder::Cpu(0), VA);

    let model = aarch64();
    let tables = model.tables();
    model.cpu(1).run(tables.root(), 5);
    let on = ModelInstructions::new(model.clone());
    on.tlbi_vae1is(5 << 48 | VA >> 12);
    assert_eq!(settled(&model, &tables, VA), [by_cpu]);
    assert_eq!(settled(&model, &tables, VA + 0x1000), [], "another page");
    on.dsb_ish();
    assert_eq!(settled(&model, &tables, VA), []);

    let model = x86();
    let tables = model.x86_tables();
    model.cpu(1).load(tables.root(), 5);
    let on = x86_64::ModelInstructions::new(model.clone());
    // VA, PCID and ASID are valid: one page under PCID 5.
    on.invlpgb(VA | 0b111, 0, 5 << 16);
    assert_eq!(settled(&model, &tables, VA), [by_cpu]);
    on.tlbsync();
    assert_eq!(settled(&model, &tables, VA), []);

    let model = power();
    let tables = model.radix_tables();
    model.cpu(1).load(tables.root(), 5);
    let on = powerpc::ModelInstructions::new(model.clone());
    on.tlbie_ric0_prs1(VA, 5 << 32);
    on.ptesync();
    assert_eq!(settled(&model, &tables, VA), [by_cpu], "no TLBSYNC");
    on.eieio();
    on.tlbsync();
    on.ptesync();
    assert_eq!(settled(&model, &tables, VA), []);
}

fn rig(device: DeviceOptions) -> Rig {
    let rig = Rig::new(SmmuOptions::default(), device);
    rig.device.read(PAGE).unwrap();
    rig
}

#[test]
fn a_command_is_still_in_its_queue() {
    let mut rig = rig(DeviceOptions::default());
    rig.ring(&[TLBI_PAGE, SYNC]);
    let expected = [lost(Holder::Iommu(0), PAGE)];
    assert_eq!(settled(&rig.model, &rig.tables, PAGE), expected);
    rig.smmu.settle();
    assert_eq!(settled(&rig.model, &rig.tables, PAGE), []);
}

/// As Linux does it: what was refused is replaced by a CMD_SYNC, whosever it was.
#[test]
fn a_command_is_overwritten_in_its_queue() {
    let mut rig = rig(DeviceOptions::default());
    rig.smmu.abort_next_fetch();
    rig.run(&[TLBI_PAGE, SYNC]);
    put(&rig.queue, 0, SYNC.0);
    put(&rig.queue, 1, SYNC.1);
    rig.barriers.before_doorbell();
    rig.acknowledge();
    rig.smmu.settle();
    assert_eq!((rig.error_active(), rig.cons() & 0xffff), (false, 2));
    let expected = [lost(Holder::Iommu(0), PAGE)];
    assert_eq!(settled(&rig.model, &rig.tables, PAGE), expected);
    // Whoever submits it again, or something wider, has seen to it.
    rig.run(&[(0x0005_0000_0000_0011, 0), SYNC]);
    assert_eq!(settled(&rig.model, &rig.tables, PAGE), []);
}

/// The second CMD_SYNC is let through.
#[test]
fn a_silent_device_is_given_up() {
    let ats = DeviceOptions {
        ats: true,
        ..DeviceOptions::default()
    };
    let mut rig = rig(ats);
    rig.device.set_silent(true);
    let invalidation = (u64::from(SID) << 32 | 0x40, PAGE);
    rig.run(&[invalidation, SYNC]);
    while rig.error_active() {
        rig.acknowledge();
        rig.smmu.settle();
    }
    let expected = [lost(Holder::Device(SID), PAGE)];
    assert_eq!(settled(&rig.model, &rig.tables, PAGE), expected);
    rig.device.set_silent(false);
    rig.run(&[invalidation, SYNC]);
    assert_eq!(settled(&rig.model, &rig.tables, PAGE), []);
}

/// What another tree's flush has under way is its own.
#[test]
fn other_trees_are_another_matter() {
    let mut rig = rig(DeviceOptions::default());
    rig.ring(&[TLBI_PAGE, SYNC]);
    let other = rig.model.tables();
    map(&rig.model, &other, PAGE);
    assert_eq!(settled(&rig.model, &other, PAGE), []);
}
