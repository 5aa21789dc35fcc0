//! Shootdowns at a nearly full ring: each takes the room of what it writes, its seal included, and is refused where that is not free.

use crate::fake::{Bench, CAP, ECAP};
use crate::flushing::{finish, pages, space};
use crate::ring::{FENCE, Ring, WAIT};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::vtd::Config;
use tlb_shootdown::secondary::{AttachKey, Full, Invalidation, SecondaryTlb};

pub(crate) type Words = [u64; 2];

/// Behind PFSID 0 and a depth of 4: the whole of a device TLB, as far as one PASID is concerned.
pub(crate) const ALL: u64 = 0x7fff_ffff_ffff_f800;

/// A ring, and address spaces whose flushes differ in what they write.
pub(crate) struct Room {
    pub(crate) ring: Ring,
    /// Of a device without TLB: PASID 10.
    pub(crate) plain: AttachKey,
    /// Of one with a TLB: PASID 0x123.
    pub(crate) one: AttachKey,
    /// One PASID in two of those: 0x45.
    shared: AttachKey,
    /// Three PASIDs, two of them in devices with TLBs: 0x67, 0x68 and 0x69.
    pub(crate) tags: AttachKey,
}

impl Room {
    pub(crate) fn new(config: Config) -> Self {
        let ring = Ring::scalable_as(config);
        ring.bench.add_device(0x0218, false);
        let attach = |contexts: &[(u16, u32)]| {
            let contexts: Vec<_> = contexts.iter().map(|&(sid, of)| (sid, Some(of))).collect();
            ring.bench.attach(&contexts)
        };
        Self {
            plain: attach(&[(0x0218, 0x10)]),
            one: attach(&[(0x0208, 0x123)]),
            shared: attach(&[(0x0208, 0x45), (0x0210, 0x45)]),
            tags: attach(&[(0x0208, 0x67), (0x0210, 0x68), (0x0218, 0x69)]),
            ring,
        }
    }

    fn flush(&self, key: AttachKey, flush: Flush) -> Result<(), Full> {
        let mut cost = Cost::ZERO;
        self.ring.bench.vtd.queue(&space(key, flush), &mut cost)
    }
}

/// What is queued, and the descriptors that it stands for: those of the unit, and those of device TLBs.
pub(crate) struct Step {
    pub(crate) queue: fn(&Room) -> Result<(), Full>,
    pub(crate) unit: Vec<Words>,
    pub(crate) devices: Vec<Words>,
}

/// The pages of a range that is cut in two: [0x3000] and [0x4000].
fn cut() -> Flush {
    pages(0x3000, 0x5000)
}

/// Type 6 of a block of one page.
const fn page(pasid: u64, at: u64) -> Words {
    [pasid << 32 | 0x0001_0036, at]
}

/// Type 6 of a whole PASID.
pub(crate) const fn whole(pasid: u64) -> Words {
    [pasid << 32 | 0x0001_0026, 0]
}

/// Type 7 of one PASID.
pub(crate) const fn entry(pasid: u64) -> Words {
    [pasid << 32 | 0x0001_0017, 0]
}

/// Type 8, of a page or of [`ALL`].
pub(crate) const fn device(pasid: u64, sid: u64, at: u64) -> Words {
    [pasid << 32 | sid << 16 | 0x48, at]
}

pub(crate) fn one_page_without_device_tlb() -> Step {
    Step {
        queue: |room| room.flush(room.plain, pages(0x3000, 0x4000)),
        unit: vec![page(0x10, 0x3000)],
        devices: vec![],
    }
}

pub(crate) fn one_page() -> Step {
    Step {
        queue: |room| room.flush(room.one, pages(0x3000, 0x4000)),
        unit: vec![page(0x123, 0x3000)],
        devices: vec![device(0x123, 0x0208, 0x3000)],
    }
}

pub(crate) fn two_blocks_in_two_devices() -> Step {
    Step {
        queue: |room| room.flush(room.shared, cut()),
        unit: vec![page(0x45, 0x3000), page(0x45, 0x4000)],
        devices: vec![
            device(0x45, 0x0208, 0x3000),
            device(0x45, 0x0208, 0x4000),
            device(0x45, 0x0210, 0x3000),
            device(0x45, 0x0210, 0x4000),
        ],
    }
}

fn two_blocks_of_three_tags() -> Step {
    let blocks = |at| [0x67, 0x68, 0x69].map(|pasid| page(pasid, at));
    Step {
        queue: |room| room.flush(room.tags, cut()),
        unit: [blocks(0x3000), blocks(0x4000)].concat(),
        devices: vec![
            device(0x67, 0x0208, 0x3000),
            device(0x67, 0x0208, 0x4000),
            device(0x68, 0x0210, 0x3000),
            device(0x68, 0x0210, 0x4000),
        ],
    }
}

fn everything_of_three_tags() -> Step {
    Step {
        queue: |room| room.flush(room.tags, Flush::all()),
        unit: vec![whole(0x67), whole(0x68), whole(0x69)],
        devices: vec![device(0x67, 0x0208, ALL), device(0x68, 0x0210, ALL)],
    }
}

/// PASID caches, what holds back those that follow, and IOTLBs (6.5.3.3).
fn release_of_three_tags() -> Step {
    let unit = [
        [entry(0x67), entry(0x68), entry(0x69)].to_vec(),
        vec![FENCE],
        [whole(0x67), whole(0x68), whole(0x69)].to_vec(),
    ];
    Step {
        queue: |room| room.ring.bench.vtd.release(room.tags, &mut Cost::default()),
        unit: unit.concat(),
        devices: vec![device(0x67, 0x0208, ALL), device(0x68, 0x0210, ALL)],
    }
}

fn kernel_tables() -> Step {
    Step {
        queue: |room| {
            let bench = &room.ring.bench;
            bench
                .vtd
                .queue(&Invalidation::KernelTables, &mut Cost::default())
        },
        unit: vec![[0xd2, 0]],
        devices: vec![
            device(0x123, 0x0208, ALL),
            device(0x45, 0x0208, ALL),
            device(0x45, 0x0210, ALL),
            device(0x67, 0x0208, ALL),
            device(0x68, 0x0210, ALL),
        ],
    }
}

pub(crate) fn careful() -> Config {
    Config {
        wait_before_device_tlbs: true,
        ..Config::new()
    }
}

/// What the seal behind some steps writes: the device TLBs, the last remembered first, behind a fence where one is asked for; and a wait.
pub(crate) fn seal_of(config: Config, steps: &[Step]) -> Vec<Words> {
    let mut devices: Vec<_> = steps.iter().flat_map(|step| step.devices.clone()).collect();
    devices.reverse();
    let between = config.wait_before_device_tlbs && !devices.is_empty();
    let fence = between.then_some(FENCE);
    fence.into_iter().chain(devices).chain([WAIT]).collect()
}

/// All that is found in the ring once some steps are sealed.
fn sealed(config: Config, steps: &[Step]) -> Vec<Words> {
    if steps.is_empty() {
        return Vec::new();
    }
    let unit = steps.iter().flat_map(|step| step.unit.clone());
    unit.chain(seal_of(config, steps)).collect()
}

/// With so many entries free: each step is taken exactly as long as it and those before it fit with their seal.
fn take_with(free: u64, config: Config, steps: &[Step]) {
    let room = Room::new(config);
    let Bench { fake, vtd, .. } = &room.ring.bench;
    fake.inner().stalled = true;
    let mut found = room.ring.fill_all_but(free);
    let tail = room.ring.tail();
    let mut taken = 0;
    for (n, step) in steps.iter().enumerate() {
        let needed = sealed(config, &steps[..=n]).len() as u64;
        let queued = (step.queue)(&room);
        assert_eq!(
            queued.is_ok(),
            needed <= free,
            "step {n}: {needed} in {free}"
        );
        if queued.is_err() {
            break;
        }
        taken += 1;
    }
    assert_eq!(room.ring.put_since(tail), 0, "before the seal");
    let fence = vtd.seal(&mut Cost::default());
    let puts = sealed(config, &steps[..taken]);
    assert_eq!(room.ring.put_since(tail), puts.len() as u64);
    if free == puts.len() as u64 {
        assert_eq!(room.flush(room.plain, Flush::all()), Err(Full));
    }
    found.extend(puts);
    fake.inner().stalled = false;
    fake.inner().run(u32::MAX);
    assert_eq!(fake.take_log(), found, "nothing was written over");
    assert_eq!(finish(&room.ring.bench, fence), Ok(()));
    fake.assert_rules_kept();
}

/// Up to one entry more than all of them take.
fn take_exactly(steps: &[Step]) {
    for config in [Config::new(), careful()] {
        for free in 1..=sealed(config, steps).len() as u64 + 1 {
            take_with(free, config, steps);
        }
    }
}

#[test]
fn promise_05_a_flush_of_pages_takes_the_room_of_its_blocks_tags_and_devices() {
    take_exactly(&[one_page_without_device_tlb()]);
    take_exactly(&[one_page()]);
    take_exactly(&[two_blocks_in_two_devices()]);
    take_exactly(&[two_blocks_of_three_tags()]);
}

#[test]
fn promise_05_what_drops_everything_takes_the_room_of_its_tags_and_devices() {
    take_exactly(&[everything_of_three_tags()]);
    take_exactly(&[release_of_three_tags()]);
    take_exactly(&[kernel_tables()]);
}

/// One seal for all of them: its room is counted once, and grows by the device TLBs of each.
#[test]
fn promise_05_a_batch_takes_the_room_of_its_parts_and_one_seal() {
    take_exactly(&[
        one_page(),
        one_page_without_device_tlb(),
        two_blocks_in_two_devices(),
    ]);
    take_exactly(&[
        two_blocks_of_three_tags(),
        release_of_three_tags(),
        one_page(),
    ]);
}

/// Two places of four are taken by each flush of a page in two devices; one of the unit alone takes none.
#[test]
fn promise_05_a_batch_takes_a_place_for_each_device_tlb() {
    let bench: Bench<8, 4> = Bench::sized(CAP, ECAP, Config::new());
    bench.add_device(0x0200, false);
    let plain = bench.attach(&[(0x0200, Some(0x10))]);
    let devices = [0x0208, 0x0210].map(|sid| {
        bench.add_device(sid, true);
        (sid, Some(0x45))
    });
    let shared = bench.attach(&devices);
    let page = |key| {
        let flush = space(key, pages(0x3000, 0x4000));
        bench.vtd.queue(&flush, &mut Cost::default())
    };
    assert_eq!(
        [shared, shared, shared].map(page),
        [Ok(()), Ok(()), Err(Full)]
    );
    assert_eq!(page(plain), Ok(()));
    let fence = bench.vtd.seal(&mut Cost::default());
    assert_eq!(finish(&bench, fence), Ok(()));
    assert_eq!(page(shared), Ok(()));
}
