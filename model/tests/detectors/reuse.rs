//! Identifiers that come to another address space.

#[path = "../rig/mod.rs"]
pub(crate) mod smmu;

use crate::{VA, aarch64, map, objects, power, x86};
use smmu::{PAGE, Rig, SID, SUBSTREAM, SYNC, put};
use tlb_shootdown::arch::aarch64::instructions::Instructions as _;
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::{Holder, Violation};
use tlb_shootdown_model::platform::ModelBarriers;
use tlb_shootdown_model::smmuv3::{DeviceOptions, SmmuOptions};

/// CR3, bit 63.
const NO_FLUSH: u64 = 1 << 63;
/// Where no walk cache leads.
const FAR: u64 = 1 << 40;

/// Two spaces that map one page.
fn two(model: &Model, make: fn(&Model) -> Tables) -> [Tables; 2] {
    let both = [make(model), make(model)];
    for tables in &both {
        map(model, tables, VA);
    }
    ModelBarriers::new(model.clone()).publish_tables();
    both
}

fn dirty(cpu: usize) -> Violation {
    let holder = Holder::Cpu(cpu);
    Violation::ReusedDirty { holder, id: 5 }
}

#[test]
fn an_asid_comes_to_another_space_uncleaned() {
    let model = aarch64();
    let [one, other] = two(&model, Model::tables);
    let cpu = model.cpu(1);
    cpu.run(one.root(), 5);
    cpu.read(VA).unwrap();
    // Under another ASID nothing is wrong, nor where the first space comes back.
    cpu.run(other.root(), 6);
    cpu.run(one.root(), 5);
    assert_eq!(model.violations(), []);
    cpu.run(other.root(), 5);
    assert_eq!(model.violations(), [dirty(1)], "nobody has used it");
}

#[test]
fn a_flush_cleans_an_asid() {
    let model = aarch64();
    let on = ModelInstructions::new(model.clone());
    let [one, other] = two(&model, Model::tables);
    let cpu = model.cpu(1);
    cpu.run(one.root(), 5);
    cpu.read(VA).unwrap();
    on.tlbi_aside1is(5 << 48);
    on.dsb_ish();
    cpu.run(other.root(), 5);
    assert_eq!(model.violations(), []);
}

/// The next tree may begin in the frame of the last.
#[test]
fn a_root_that_is_allocated_again_is_another_space() {
    let model = aarch64();
    let [one, _] = two(&model, Model::tables);
    let cpu = model.cpu(1);
    cpu.run(one.root(), 5);
    cpu.read(VA).unwrap();
    model.free(one.root());
    let next = model.tables();
    assert_eq!(next.root(), one.root());
    cpu.run(next.root(), 5);
    assert!(objects(&model, dirty(1)));
}

#[test]
fn a_pcid_comes_to_another_space_with_its_entries() {
    let model = x86();
    let [one, other] = two(&model, Model::x86_tables);
    let cpu = model.cpu(1);
    cpu.load(one.root(), 5);
    cpu.read(VA).unwrap();
    cpu.load(other.root(), 5 | NO_FLUSH);
    assert_eq!(model.violations(), [dirty(1)]);
    // Without bit 63 the entries go.
    cpu.load(one.root(), 5);
    assert_eq!(model.violations(), []);
}

/// A PID is everybody's: who does not run it holds it as well.
#[test]
fn a_pid_comes_to_another_space_while_somebody_holds_it() {
    let model = power();
    let [one, other] = two(&model, Model::radix_tables);
    let cpu = model.cpu(1);
    cpu.load(one.root(), 5);
    cpu.read(VA).unwrap();
    cpu.run_nothing();
    model.cpu(0).load(other.root(), 5);
    assert_eq!(model.violations(), [dirty(1)]);
}

/// A context descriptor leads to another tree under the ASID of the last, which the SMMU and the device's TLB still hold.
#[test]
fn an_smmus_asid_and_a_devices_pasid_come_to_another_space() {
    let ats = DeviceOptions {
        ats: true,
        refills: false,
        ..DeviceOptions::default()
    };
    for options in [DeviceOptions::default(), ats] {
        let mut rig = Rig::new(SmmuOptions::default(), options);
        let device = rig.device.substream(SUBSTREAM);
        device.read(PAGE).unwrap();
        let other = rig.model.tables();
        let frame = rig.model.allocate(0x1000);
        other.map(0, FAR, Mapping::page(frame, Rights::ReadOnly));
        put(&rig.contexts, SUBSTREAM as usize * 8 + 1, other.root());
        rig.barriers.publish_tables();
        // CFGI_CD of the substream, and no TLBI.
        rig.run(&[(0x0000_0003_0000_7005, 1), SYNC]);
        device.read(FAR).unwrap();
        let (holder, id) = (Holder::Iommu(0), 6);
        let mut expected = vec![Violation::ReusedDirty { holder, id }];
        if options.ats {
            let (holder, id) = (Holder::Device(SID), SUBSTREAM);
            expected.push(Violation::ReusedDirty { holder, id });
        }
        assert_eq!(rig.model.violations(), expected);
    }
}
