//! VT-d: what its descriptors say, and what becomes of its invalidation queue.

mod descriptor;
mod unit;

use super::arena::Arena;
use super::bench::Bench;
use super::port::{Lock, Port, turns};
use crate::input::{Input, Space};
use crate::runs::pages;
use descriptor::Reader;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, DeviceTlb, Levels, Memory, Mode, Pasid, SourceId,
    TranslationConfig, Vtd, pasid_table_bytes,
};
use unit::{Queue, Says};

type Driver = Vtd<Port<Queue>, Port<Queue>, Lock, 8, 16>;

const DEVICE: u16 = 0x0208;
const FUNCTION: u16 = 0x0200;
const STRIDES: [u8; 3] = [12, 21, 30];

/// Any request, of a process or a second-stage table: covered, at most twice as much, nothing reserved.
pub fn encode(data: &[u8]) {
    let mut input = Input::new(data);
    with_driver(&mut input, &mut |bench, input| {
        bench.encode(input, |_, asked, runs| {
            assert!(pages(runs) <= 2 * pages(&[asked]), "{asked:x?}: {runs:x?}");
            assert!(runs.len() <= 4);
        });
    });
}

/// Requests and mishaps on the smallest queue.
pub fn ring(data: &[u8]) {
    let mut input = Input::new(data);
    let honest = input.below(3) != 0;
    with_driver(&mut input, &mut |bench, input| bench.drive(input, honest));
}

type Body<'a> = &'a mut dyn FnMut(&Bench<'_, Queue>, &mut Input<'_>);

fn with_driver(input: &mut Input<'_>, body: Body<'_>) {
    let pasid = input.flag().then(|| 1 + input.below(511) as u32);
    let depth = input.flag().then(|| 1 + input.below(32) as u8);
    let says = Says {
        largest_mask: input.pick(&[18, 9, 0, 35, 63]) as u8,
        functions: input.flag(),
        by_page: input.below(4) != 3,
    };
    let arena = Arena::default();
    let port = Port::new(Queue::new(says));
    let memory = Memory {
        queue: arena.region(0x1000, 0x1000),
        status: arena.region(0x1000, 0x1000),
        root: arena.region(0x1000, 0x1000),
        contexts: arena.region(0x2000, 0x1000),
    };
    port.unit().status = memory.status.phys().raw();
    let mut config = Config::new();
    config.mode = if pasid.is_some() {
        Mode::Scalable
    } else {
        Mode::Legacy
    };
    config.wait_before_device_tlbs = input.flag();
    let new = Driver::new(port.clone(), port.clone(), Lock::default(), memory, config);
    let driver = new.expect("a usual unit");
    driver.init(&mut turns(&port, 200)).expect("an honest unit");
    let setup = DeviceSetup {
        device: SourceId(DEVICE),
        pasid_bits: if pasid.is_some() { 9 } else { 0 },
        pasids: pasid.map(|_| arena.region(pasid_table_bytes(9), 0x1000)),
        device_tlb: depth.map(|queue_depth| DeviceTlb {
            queue_depth,
            physical_function: SourceId(FUNCTION),
            flush_twice: false,
        }),
        page_requests: false,
    };
    driver
        .add_device(setup, &mut turns(&port, 200))
        .expect("a free slot");
    let context = Context {
        device: SourceId(DEVICE),
        pasid: pasid.and_then(Pasid::new),
    };
    let translation = TranslationConfig {
        root: PhysAddr::new(0x4_5678_9000),
        levels: Levels::Four,
    };
    let key = driver.attach(&[context], &translation, &mut turns(&port, 200));
    let key = key.expect("a free context");
    port.unit().be_lazy();
    let reader = Reader { pasid, depth, says };
    let bench = Bench {
        port: &port,
        tlb: &driver,
        key,
        space: Space { base: 0, bits: 47 },
        strides: &STRIDES,
        device_unit: depth.map(|_| 12),
        decode: &|descriptor, flush| reader.read(descriptor, flush),
    };
    body(&bench, input);
    arena.assert_guards();
}
