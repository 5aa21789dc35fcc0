//! SMMUv3: what its commands say, and what becomes of its command queue.

mod command;
mod unit;

use super::arena::Arena;
use super::bench::Bench;
use super::port::{Lock, Port, turns};
use crate::input::{Input, Space};
use crate::runs::{Run, pages, rounded};
use command::Reader;
use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::smmuv3::{
    AsidSource, Cacheability, Completion, Config, Context, Granule, Memory, Regime, Shareability,
    Smmu, StreamId, StreamSetup, SubstreamId, TableUpdates, TranslationConfig,
};
use unit::{Ids, Queue};

type Driver = Smmu<Port<Queue>, Port<Queue>, Lock, 8, 16>;

const STREAM: u32 = 3;
const SUBSTREAM: u32 = 5;

/// Any request of any SMMU: covered, at most a granule too much, at most twice as much in the device, nothing reserved.
pub fn encode(data: &[u8]) {
    let mut input = Input::new(data);
    let granule = input.pick(&[Granule::Kib4, Granule::Kib16, Granule::Kib64]);
    with_driver(&mut input, granule, 8, &mut |bench, reader, input| {
        bench.encode(input, |flush, asked, runs| reader.bound(flush, asked, runs));
    });
}

/// Requests and mishaps on a small queue.
pub fn ring(data: &[u8]) {
    let mut input = Input::new(data);
    let log2 = input.pick(&[5, 4, 6]);
    let honest = input.below(3) != 0;
    with_driver(&mut input, Granule::Kib4, log2, &mut |bench, _, input| {
        bench.drive(input, honest);
    });
}

type Body<'a> = &'a mut dyn FnMut(&Bench<'_, Queue>, &Reader, &mut Input<'_>);

fn with_driver(input: &mut Input<'_>, granule: Granule, log2: u32, body: Body<'_>) {
    let (ril, wide, el2, msi) = (input.flag(), input.flag(), input.flag(), input.flag());
    let (twice, ats) = (
        input.below(8) == 7,
        input.flag().then(|| input.pick(&[12, 14, 16])),
    );
    let arena = Arena::default();
    let port = Port::new(Queue::new(Ids { ril, wide }));
    let memory = Memory {
        commands: arena.region(16 << log2, 16usize << log2),
        streams: arena.region(64 * 8, 64 * 8),
        events: Some(arena.region(32 * 16, 32 * 16)),
        message: Some(arena.region(8, 8)),
    };
    let message = memory.message.as_ref().map_or(0, |word| word.phys().raw());
    port.unit().message = message;
    let mut config = Config::new();
    config.repeat_invalidations = twice;
    config.regime = if el2 { Regime::El2Host } else { Regime::El1 };
    config.completion = if msi {
        Completion::Msi
    } else {
        Completion::Poll
    };
    let new = Driver::new(port.clone(), port.clone(), Lock::default(), memory, config);
    let driver = new.expect("a usual SMMU");
    driver.init(&mut turns(&port, 10)).expect("an honest unit");
    let setup = StreamSetup {
        stream: StreamId(STREAM),
        contexts: arena.region(64 * 8, 64 * 8),
        substream_bits: 3,
        ats,
    };
    driver
        .add_stream(setup, &mut turns(&port, 10))
        .expect("a free slot");
    let context = Context {
        stream: StreamId(STREAM),
        substream: SubstreamId::new(SUBSTREAM),
    };
    let key = driver.attach(&[context], &translation(granule), &mut turns(&port, 10));
    let key = key.expect("a free context");
    port.unit().be_lazy();
    let reader = Reader {
        granule: granule.shift(),
        ril,
        wide,
        el2,
    };
    let strides = reader.leaf_sizes();
    let bench = Bench {
        port: &port,
        tlb: &driver,
        key,
        space: Space { base: 0, bits: 48 },
        strides: &strides,
        device_unit: ats,
        decode: &|command, flush| reader.read(command, flush),
    };
    body(&bench, &reader, input);
    arena.assert_guards();
}

fn translation(granule: Granule) -> TranslationConfig {
    TranslationConfig {
        root: PhysAddr::new(0x4_5679_0000),
        t0sz: 16,
        granule,
        ips: 5,
        mair: 0xff44_0c04,
        shareability: Shareability::Inner,
        inner: Cacheability::WriteBack,
        outer: Cacheability::WriteBack,
        updates: TableUpdates::Software,
        asid: AsidSource::Private,
    }
}

impl Reader {
    /// Promise 11: with range fields one granule, without them nothing.
    fn bound(&self, flush: &Flush, asked: Run, runs: &[Run]) {
        let unit = if self.ril {
            self.granule
        } else {
            self.entry(flush)
        };
        let asked = pages(&[rounded(asked, unit)]);
        let most = if self.ril {
            1u128 << (self.granule - 12)
        } else {
            0
        };
        assert!(pages(runs) - asked <= most, "{runs:x?} for {flush:x?}");
    }
}
