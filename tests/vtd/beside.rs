//! Set-ups that wait for the unit, beside shootdowns that are queued and not sealed: the seal of those still fits.

use crate::fake::{Bench, turns};
use crate::flushing::{finish, space};
use crate::ring::{FENCE, WAIT};
use crate::room::{self, ALL, Room, Step, Words};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::vtd::{AttachError, Config};
use tlb_shootdown::secondary::{AttachKey, Full, SecondaryTlb};

/// SW, FN and PD.
const DRAIN: Words = [0xe5, 0];

/// What waits, and all that it writes.
struct SetUp {
    run: fn(&Bench, AttachKey) -> Result<(), AttachError>,
    space: fn(&Room) -> AttachKey,
    puts: Vec<Words>,
}

/// PASID cache, IOTLB, and what follows each.
fn install() -> SetUp {
    SetUp {
        run: |bench, key| bench.vtd.install(key, &mut turns(&bench.lock, 5)),
        space: |room| room.one,
        puts: vec![room::entry(0x123), FENCE, room::whole(0x123), WAIT],
    }
}

/// A fence, all that a release drops, and a wait that drains (7.10).
fn drain_of_three_tags() -> SetUp {
    let puts = [
        vec![FENCE],
        [0x67, 0x68, 0x69].map(room::entry).to_vec(),
        vec![FENCE],
        [0x67, 0x68, 0x69].map(room::whole).to_vec(),
        vec![
            room::device(0x67, 0x0208, ALL),
            room::device(0x68, 0x0210, ALL),
            DRAIN,
        ],
    ];
    SetUp {
        run: |bench, key| {
            let mut turns = turns(&bench.lock, 5);
            bench.vtd.drain_page_requests(key, &mut turns)
        },
        space: |room| room.tags,
        puts: puts.concat(),
    }
}

fn drain_without_device_tlb() -> SetUp {
    SetUp {
        space: |room| room.plain,
        puts: vec![FENCE, room::entry(0x10), FENCE, room::whole(0x10), DRAIN],
        ..drain_of_three_tags()
    }
}

/// In a ring that stands still, with that many entries free, of which what is open takes the first.
fn run_with(free: u64, config: Config, open: &[Step], set_up: &SetUp) -> bool {
    let room = Room::new(config);
    let Bench { fake, vtd, .. } = &room.ring.bench;
    fake.inner().stalled = true;
    let mut found = room.ring.fill_all_but(free);
    let tail = room.ring.tail();
    for step in open {
        assert_eq!((step.queue)(&room), Ok(()));
        found.extend(&step.unit);
    }
    let before = found.len();
    // For room or for its end: it waits.
    let late = (set_up.run)(&room.ring.bench, (set_up.space)(&room));
    assert!(matches!(late, Err(AttachError::Timeout(_))), "{late:?}");
    let units: usize = open.iter().map(|step| step.unit.len()).sum();
    let fits = room.ring.put_since(tail) > units as u64;
    if fits {
        found.extend(&set_up.puts);
    }
    let fence = vtd.seal(&mut Cost::default());
    let has_devices = open.iter().any(|step| !step.devices.is_empty());
    // Its wait is theirs as well.
    if has_devices || (!fits && !open.is_empty()) {
        found.extend(room::seal_of(config, open));
    }
    let put = room.ring.put_since(tail) as usize;
    assert_eq!(put, found.len() - before + units, "all that was counted");
    if put as u64 == free {
        let more = space(room.ring.filler, Flush::all());
        assert_eq!(vtd.queue(&more, &mut Cost::default()), Err(Full));
    }
    fake.inner().stalled = false;
    fake.inner().run(u32::MAX);
    assert_eq!(fake.take_log(), found, "nothing was written over");
    assert_eq!(finish(&room.ring.bench, fence), Ok(()));
    fake.assert_rules_kept();
    fits
}

/// One entry less than all of them take, and exactly that.
fn fits_exactly(open: fn() -> Vec<Step>, set_up: &SetUp) {
    for config in [Config::new(), room::careful()] {
        let open = open();
        let units = open.iter().map(|step| step.unit.len()).sum::<usize>();
        let has_devices = open.iter().any(|step| !step.devices.is_empty());
        let seal = if has_devices {
            room::seal_of(config, &open).len()
        } else {
            0
        };
        let needed = (units + set_up.puts.len() + seal) as u64;
        let fits = [needed - 1, needed].map(|free| run_with(free, config, &open, set_up));
        assert_eq!(fits, [false, true], "{needed}");
    }
}

fn beside_nothing_and_shootdowns(set_up: &SetUp) {
    fits_exactly(Vec::new, set_up);
    fits_exactly(|| vec![room::one_page_without_device_tlb()], set_up);
    fits_exactly(|| vec![room::one_page()], set_up);
    fits_exactly(
        || vec![room::one_page(), room::two_blocks_in_two_devices()],
        set_up,
    );
}

#[test]
fn promise_05_an_attach_leaves_the_room_of_open_seals() {
    beside_nothing_and_shootdowns(&install());
}

#[test]
fn promise_05_a_drain_takes_what_it_writes_and_leaves_the_room_of_open_seals() {
    beside_nothing_and_shootdowns(&drain_of_three_tags());
    beside_nothing_and_shootdowns(&drain_without_device_tlb());
}

/// A set-up's wait proves what was queued before it: nobody pays for another.
#[test]
fn a_seal_behind_a_set_up_writes_nothing_more() {
    let room = Room::new(Config::new());
    let Bench { fake, vtd, .. } = &room.ring.bench;
    let step = room::one_page_without_device_tlb();
    assert_eq!((step.queue)(&room), Ok(()));
    let set_up = install();
    assert_eq!((set_up.run)(&room.ring.bench, room.one), Ok(()));
    let mut cost = Cost::ZERO;
    let fence = vtd.seal(&mut cost);
    assert_eq!(
        (finish(&room.ring.bench, fence), cost),
        (Ok(()), Cost::ZERO)
    );
    assert_eq!(fake.take_log(), [step.unit, set_up.puts].concat());
}

/// As soon as there is room, in any turn of its wait.
#[test]
fn promise_05_an_attach_waits_until_there_is_room() {
    let room = Room::new(Config::new());
    let Bench { fake, vtd, .. } = &room.ring.bench;
    fake.inner().stalled = true;
    room.ring.fill_all_but(1);
    let mut turns = 0;
    let mut wait = || {
        turns += 1;
        if turns == 3 {
            fake.inner().stalled = false;
            fake.inner().run(u32::MAX);
        }
        turns < 10
    };
    assert_eq!(vtd.install(room.one, &mut wait), Ok(()));
    assert!(fake.take_log().ends_with(&install().puts));
}

/// Others' device TLBs are none of its business.
#[test]
fn a_detach_without_device_tlbs_asks_for_none() {
    let room = Room::new(Config::new());
    let Bench { fake, vtd, lock } = &room.ring.bench;
    assert_eq!(vtd.detach(room.plain, &mut turns(lock, 5)), Ok(()));
    let puts = [room::entry(0x10), FENCE, room::whole(0x10), WAIT];
    assert_eq!(fake.take_log(), puts);
}
