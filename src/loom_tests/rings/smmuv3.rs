//! SMMUv3: a ring with a wrap bit, consumed in order, that is full after two shootdowns.

use super::races::{
    detach_against, release_against, three_submitters, two_detaches, two_in_trouble,
    two_submitters, unit_by_itself,
};
use super::smmuv3_unit::Smmu as Unit;
use super::{Fault, Lock, Pages, Port, Shared, Task, World, two_cpus};
use crate::address::PhysAddr;
use crate::iommu::smmuv3::{
    AsidSource, AttachError, Cacheability, Completion, Config, Context, Granule, Memory,
    Shareability, Smmu, StreamId, StreamSetup, TableUpdates, TranslationConfig,
};
use crate::secondary::AttachKey;
use loom::sync::Arc;
use std::boxed::Box;

type Tlb = Smmu<Port<Unit>, Port<Unit>, Lock, 1, 4>;

const TRANSLATION: TranslationConfig = TranslationConfig {
    root: PhysAddr::new(0x1000),
    t0sz: 16,
    granule: Granule::Kib4,
    ips: 5,
    mair: 0xff,
    shareability: Shareability::Inner,
    inner: Cacheability::WriteBack,
    outer: Cacheability::WriteBack,
    updates: TableUpdates::Software,
    asid: AsidSource::Private,
};

fn completed_by(completion: Completion) -> impl Fn() -> Arc<World<Tlb, Unit>> {
    move || {
        let pages = Pages::new(4);
        let unit = Shared::new();
        let memory = Memory {
            commands: pages.region(0, 128),
            streams: pages.region(1, 64),
            events: None,
            message: Some(pages.region(2, 8)),
        };
        let config = Config {
            completion,
            ..Config::new()
        };
        let port = || Port(unit.clone());
        let tlb = Box::new(Smmu::new(port(), port(), Lock::new(), memory, config).unwrap());
        let wait = &mut || true;
        tlb.init(wait).unwrap();
        let setup = StreamSetup {
            stream: StreamId(0),
            contexts: pages.region(3, 64),
            substream_bits: 0,
            ats: Some(12),
        };
        tlb.add_stream(setup, wait).unwrap();
        let context = Context {
            stream: StreamId(0),
            substream: None,
        };
        let key = tlb.attach(&[context], &TRANSLATION, wait).unwrap();
        World::new(tlb, key, unit, pages)
    }
}

fn polled() -> impl Fn() -> Arc<World<Tlb, Unit>> {
    completed_by(Completion::Poll)
}

fn detach(tlb: &Tlb, key: AttachKey, wait: &mut dyn FnMut() -> bool) -> bool {
    match tlb.detach(key, wait) {
        Ok(()) => true,
        Err(AttachError::Timeout(..)) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn loom_promise_05_smmu_ring_of_two_submitters() {
    two_submitters(polled());
}

#[test]
fn loom_promise_05_smmu_ring_of_three_submitters() {
    three_submitters(Fault::None, polled());
}

#[test]
fn loom_promise_05_smmu_consumes_by_itself() {
    unit_by_itself(Fault::None, 8, polled());
}

#[test]
fn loom_promise_03_smmu_completes_by_message() {
    unit_by_itself(Fault::None, 8, completed_by(Completion::Msi));
}

#[test]
fn loom_promise_05_smmu_refuses_a_command() {
    two_in_trouble(Fault::Refuses, polled());
    three_submitters(Fault::Refuses, polled());
}

#[test]
fn loom_promise_05_smmu_refuses_by_itself() {
    unit_by_itself(Fault::Refuses, 6, polled());
}

/// The CMD_SYNC that fails may be anybody's.
#[test]
fn loom_promise_05_smmu_device_misses_one() {
    two_in_trouble(Fault::Silent, polled());
    three_submitters(Fault::Silent, polled());
}

#[test]
fn loom_promise_05_smmu_device_is_dead() {
    two_in_trouble(Fault::Dead, polled());
    three_submitters(Fault::Dead, polled());
}

#[test]
fn loom_promise_10_smmu_release_against_flush() {
    release_against(&[Task::Page(2), Task::Release], 3, polled());
}

#[test]
fn loom_promise_10_smmu_detach_against_flush() {
    detach_against(detach, &[Task::Page(2)], polled());
}

#[test]
fn loom_promise_10_smmu_two_detaches() {
    two_cpus(|| two_detaches(detach, &polled()()));
}
