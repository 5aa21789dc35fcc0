//! AMD IOMMU: what its commands say, and what becomes of its command buffer.

mod command;
mod unit;

use super::arena::Arena;
use super::bench::Bench;
use super::port::{Lock, Port, turns};
use crate::input::{Input, Space};
use crate::runs::pages;
use command::Reader;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Iommu, Memory, Pasid, Translation, gcr3_len,
};
use unit::Buffer;

type Driver = Iommu<Port<Buffer>, Port<Buffer>, Lock, 8, 16>;

/// IotlbSup, EFRSup.
const CAPABILITY: u32 = 1 << 24 | 1 << 27;
const DEVICE: u16 = 0x42;
const STRIDES: [u8; 3] = [12, 21, 30];

/// Any request, of a process or a host table: covered, at most twice as much, nothing reserved.
pub fn encode(data: &[u8]) {
    let mut input = Input::new(data);
    with_driver(&mut input, &mut |bench, input| {
        bench.encode(input, |_, asked, runs| {
            assert!(pages(runs) <= 2 * pages(&[asked]), "{asked:x?}: {runs:x?}");
            assert!(runs.len() <= 4);
        });
    });
}

/// Requests and mishaps on the smallest buffer.
pub fn ring(data: &[u8]) {
    let mut input = Input::new(data);
    let honest = input.below(3) != 0;
    with_driver(&mut input, &mut |bench, input| bench.drive(input, honest));
}

type Body<'a> = &'a mut dyn FnMut(&Bench<'_, Buffer>, &mut Input<'_>);

fn with_driver(input: &mut Input<'_>, body: Body<'_>) {
    let pasid = input.flag().then(|| 1 + input.below(511) as u32);
    let ats = input.flag().then(|| 1 + input.below(32) as u8);
    let invalidates_all = input.flag();
    let arena = Arena::default();
    let port = Port::new(Buffer::new(invalidates_all));
    let memory = Memory {
        commands: arena.region(4096, 4096),
        devices: arena.region(4096, 4096),
        events: Some(arena.region(4096, 4096)),
        completion: arena.region(8, 8),
    };
    port.unit().completion = memory.completion.phys().raw();
    let config = Config::new(CAPABILITY);
    let new = Driver::new(port.clone(), port.clone(), Lock::default(), memory, config);
    let driver = new.expect("a usual IOMMU");
    driver.init(&mut turns(&port, 200)).expect("an honest unit");
    let kind = match pasid {
        Some(_) => DeviceKind::Pasid {
            gcr3: arena.region(gcr3_len(9), 4096),
            pasid_bits: 9,
            refuse_untagged: false,
        },
        None => DeviceKind::Host,
    };
    let setup = DeviceSetup {
        device: DeviceId(DEVICE),
        kind,
        ats,
    };
    driver
        .add_device(setup, &mut turns(&port, 200))
        .expect("a free slot");
    let context = Context {
        device: DeviceId(DEVICE),
        pasid: pasid.and_then(Pasid::new),
    };
    let root = PhysAddr::new(0x4_5678_9000);
    let translation = match pasid {
        Some(_) => Translation::Process { root },
        None => Translation::Host { root, levels: 4 },
    };
    let key = driver.attach(&[context], &translation, &mut turns(&port, 200));
    let key = key.expect("a free context");
    port.unit().be_lazy();
    let reader = Reader { pasid, ats };
    let bench = Bench {
        port: &port,
        tlb: &driver,
        key,
        space: Space { base: 0, bits: 47 },
        strides: &STRIDES,
        device_unit: ats.map(|_| 12),
        decode: &|command, flush| reader.read(command, flush),
    };
    body(&bench, input);
    arena.assert_guards();
}
