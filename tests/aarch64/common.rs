//! One machine on a recorder, with the calls that the engine makes in the order in which it makes them.

use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, AsidSlot, Config};
use tlb_shootdown::arch::{Arch, Entries, Half, HardwareId, Issued, Reach};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;
use tlb_shootdown::flush::{Depth, Flush};
pub(crate) use tlb_shootdown_model::recorder::aarch64::{Executed, Identification, Recorder};

pub(crate) type Machine = Aarch64<Recorder, 1>;

pub(crate) const fn bare(name: &'static str) -> Executed {
    (name, None)
}

pub(crate) const fn on(name: &'static str, operand: u64) -> Executed {
    (name, Some(operand))
}

/// A machine of one CPU, started and sealed, with nothing recorded yet.
pub(crate) fn machine(config: Config, cpu: Identification) -> Machine {
    let machine = Aarch64::new(Recorder::new(cpu), config);
    machine.join(CpuId::new(0)).expect("the first CPU");
    machine.seal_features();
    machine.instructions().take();
    machine
}

/// 4 KiB pages, every optional feature.
pub(crate) fn full() -> Machine {
    machine(Config::new(Granule::Kib4), Identification::FULL)
}

/// 4 KiB pages, no optional feature.
pub(crate) fn plain() -> Machine {
    machine(Config::new(Granule::Kib4), Identification::PLAIN)
}

pub(crate) const LEAF: Entries = Entries {
    depth: Depth::Leaf,
    leaf_size: None,
    promised_size: None,
};
pub(crate) const TABLES: Entries = Entries {
    depth: Depth::Tables,
    leaf_size: None,
    promised_size: None,
};

pub(crate) const fn leaf_of(size: PageSize) -> Entries {
    Entries {
        depth: Depth::Leaf,
        leaf_size: Some(size),
        promised_size: Some(size),
    }
}

pub(crate) fn pages(start: u64, bytes: u64, stride: PageSize) -> PageRange {
    PageRange::from_len(VirtAddr::new(start), bytes, stride).expect("a range")
}

/// Completes what was issued for one half.
pub(crate) fn complete(machine: &Machine, half: Half, reach: Reach, cost: &mut Cost) {
    let issued = match half {
        Half::User => Issued::User(HardwareId(5), Flush::all()),
        Half::Kernel => Issued::EVERYTHING,
    };
    assert_eq!(machine.complete([issued], reach, cost), Ok(()));
}

/// A range flush of one user address space from the store barrier to completion.
pub(crate) fn flush_user(
    machine: &Machine,
    asid: u64,
    range: &PageRange,
    entries: Entries,
    reach: Reach,
) -> (Vec<Executed>, Cost) {
    let mut cost = Cost::ZERO;
    machine.store_barrier(reach, &mut cost);
    machine.flush_tlb_range(HardwareId(asid), range, entries, reach, &mut cost);
    complete(machine, Half::User, reach, &mut cost);
    (machine.instructions().take(), cost)
}

/// The same for kernel mappings.
pub(crate) fn flush_kernel(
    machine: &Machine,
    range: &PageRange,
    entries: Entries,
    reach: Reach,
) -> (Vec<Executed>, Cost) {
    let mut cost = Cost::ZERO;
    machine.store_barrier(reach, &mut cost);
    machine.flush_tlb_kernel_range(range, entries, reach, &mut cost);
    complete(machine, Half::Kernel, reach, &mut cost);
    (machine.instructions().take(), cost)
}

/// Activates a space that needs no attention to its being fresh.
pub(crate) fn activate(machine: &Machine, cpu: u32, space: &AsidSlot) -> HardwareId {
    machine
        .activate(CpuId::new(cpu), space, &mut || (), &mut Cost::default())
        .expect("an ASID")
}

/// The TLBIs alone.
pub(crate) fn tlbis(executed: &[Executed]) -> Vec<Executed> {
    executed
        .iter()
        .copied()
        .filter(|(name, _)| name.starts_with("tlbi"))
        .collect()
}
