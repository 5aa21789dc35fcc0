//! What the oracle sees before anybody uses what is wrong, each with the mistake that provokes it. Operands are literals.

mod dirty;
mod live;
mod lost;
mod over_flush;
mod reuse;
mod sizes;
mod waits;

use tlb_shootdown_model::cpu::{powerpc, x86_64};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::oracle::Violation;
use tlb_shootdown_model::{Model, Temper};

/// In one table of the last level with its neighbours, in each of the formats.
const VA: u64 = 0x4000_0000;
/// What one table of the last level covers.
const TABLE: u64 = 0x20_0000;

fn aarch64() -> Model {
    Model::new(2, Temper::Late)
}

fn x86() -> Model {
    Model::with_x86_cpus(&[x86_64::CpuFeatures::BROADCASTS; 2], Temper::Late)
}

fn power() -> Model {
    Model::with_power_cpus(&[powerpc::CpuFeatures::POWER10; 2], Temper::Late)
}

/// Machines of each kind, with a table that its CPUs walk.
fn machines() -> [(Model, Tables); 3] {
    let of = |model: Model, tables: fn(&Model) -> Tables| {
        let tables = tables(&model);
        (model, tables)
    };
    [
        of(aarch64(), Model::tables),
        of(x86(), Model::x86_tables),
        of(power(), Model::radix_tables),
    ]
}

fn map(model: &Model, tables: &Tables, va: u64) -> u64 {
    let frame = model.allocate(0x1000);
    tables.map(0, va, Mapping::page(frame, Rights::ReadWrite));
    frame
}

fn large(frame: u64) -> Mapping {
    Mapping {
        level: 2,
        ..Mapping::page(frame, Rights::ReadWrite)
    }
}

/// Whether there is such an objection, and takes them all.
fn objects(model: &Model, to: Violation) -> bool {
    model.violations().contains(&to)
}
