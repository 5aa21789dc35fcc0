//! Permission upgrades: what a flush left out costs, and what an access fault repairs by itself.

use crate::random_kernel::Machine as _;
use crate::rig::{Parts, Process, Rig};
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::Fault;
use tlb_shootdown_model::cpu::powerpc::CpuFeatures;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

const PAGE: u64 = 0x4000_0000;

/// Two CPUs hold a read-only entry of a page that has since become writable.
fn upgraded() -> (Rig, Process) {
    let rig = Rig::new(Parts::new(CpuFeatures::POWER9, Temper::Late));
    let process = rig.process();
    let frame = rig.model.allocate(0x1000);
    let tables = &process.tables;
    tables.map(0, PAGE, Mapping::page(frame, Rights::ReadOnly));
    rig.publish();
    for cpu in [0, 1] {
        rig.switch(cpu, &process);
        assert_eq!(rig.cpu(cpu).read(PAGE), Ok(0));
    }
    tables.protect(0, PAGE, Rights::ReadWrite);
    rig.publish();
    (rig, process)
}

fn page() -> Flush {
    Flush::page(VirtAddr::new(PAGE), PageSize::KIB_4)
}

/// What a write meets on this CPU, with the upgrade flushed and without.
fn writes(flushed: bool, cpu: usize) -> [Result<(), Fault>; 2] {
    let (rig, process) = upgraded();
    if flushed {
        rig.engine.flush_upgrade(process.space, page()).unwrap();
    }
    let result = [0, 1].map(|word| rig.cpu(cpu).write(PAGE, word));
    assert_eq!(rig.model.violations(), []);
    result
}

#[test]
fn promise_09_powerpc_upgrade_left_out_faults_once_on_either_cpu() {
    for cpu in [0, 1] {
        // The entry is loaded again after the fault.
        assert_eq!(writes(false, cpu), [Err(Fault::Permission), Ok(())]);
        assert_eq!(writes(true, cpu), [Ok(()), Ok(())]);
    }
}

/// Where the kernel repairs spurious faults an upgrade costs the CPUs nothing, and each repairs itself at most once.
#[test]
fn promise_09_an_upgrade_at_a_fault_flushes_no_cpu() {
    let (rig, process) = upgraded();
    rig.platform.set_repairs_spurious_faults(true);
    let cost = rig.engine.flush_upgrade(process.space, page()).unwrap();
    assert_eq!((cost.ipis, cost.invalidations), (0, 0));
    rig.model
        .returned(process.tables.root(), PAGE, PAGE + 0xfff);
    for cpu in [0, 1] {
        assert_eq!(rig.cpu(cpu).write(PAGE, 1), Err(Fault::Permission));
        rig.platform.set_current(cpu);
        let at = VirtAddr::new(PAGE);
        let repaired = rig
            .engine
            .fix_spurious_fault(process.space, at, PageSize::KIB_4)
            .unwrap();
        assert_eq!(repaired.invalidations, 0, "the fault has done it");
        assert_eq!(rig.cpu(cpu).write(PAGE, 1), Ok(()));
    }
    assert_eq!(rig.model.violations(), []);
}
