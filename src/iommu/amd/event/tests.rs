use super::{Event, EventLog, Seen};
use crate::dma::Mmio as _;
use crate::iommu::memory::Table;
use crate::iommu::test_memory::{Coherent, Registers, region};

/// 48882 3.4: the event log's base at 0x10, its head at 0x2010 and its tail at 0x2018.
const BASE: usize = 0x10;
const HEAD: usize = 0x2010;
const TAIL: usize = 0x2018;

/// IO_PAGE_FAULT of device 1 with this address.
fn fault(address: u64) -> [u64; 2] {
    [0x2000_0000_0000_0001, address]
}

struct Bench {
    registers: Registers,
    log: EventLog,
    memory: *mut u64,
}

impl Bench {
    /// A log of four records. Its memory was in use before.
    fn new() -> Self {
        let region = region(0x5000, 64);
        let memory = region.virt().as_ptr().cast();
        let table = Table::new(region, 64, 64, 48).unwrap();
        let mut bench = Self {
            registers: Registers::default(),
            log: EventLog::new(table, 2),
            memory,
        };
        (0..4).for_each(|slot| bench.record(slot, fault(0xdead)));
        bench.log.program(&bench.registers);
        bench
    }

    /// Writes a record where the IOMMU would.
    fn record(&mut self, slot: usize, words: [u64; 2]) {
        for (word, value) in words.into_iter().enumerate() {
            // SAFETY: the slot is one of the four.
            let place = unsafe { self.memory.add(2 * slot + word) };
            // SAFETY: as above.
            unsafe { place.write_volatile(value) };
        }
    }

    fn announce(&self, tail: u32) {
        self.registers.write32(TAIL, tail);
    }

    fn look(&mut self) -> Result<Event, Seen> {
        self.log.look(&self.registers, &Coherent)
    }

    fn take(&mut self) -> Option<u64> {
        let event = self.log.take(&self.registers)?;
        Some(event.address().raw())
    }
}

/// The erratum of the tail that moves first (732): so many looks are the most that a record is waited for, and the next one counts anew.
#[test]
fn a_record_that_is_never_written_is_lost_after_ten_thousand_looks() {
    let mut bench = Bench::new();
    bench.announce(0x20);
    for _ in 0..2 {
        for look in 1..10_000 {
            assert_eq!(bench.look(), Err(Seen::NotYet), "look {look}");
        }
        assert_eq!(bench.look(), Err(Seen::Lost));
    }
    assert_eq!(bench.look(), Err(Seen::All));
    assert_eq!(bench.take(), None, "nothing was written");
    assert_eq!(bench.registers.read32(HEAD), 0x20);
}

/// The log goes round, and a place that was given back is empty again.
#[test]
fn records_are_seen_and_taken_in_order_for_several_laps() {
    let mut bench = Bench::new();
    assert_eq!(bench.registers.read64(BASE), 0x0200_0000_0000_5000);
    for number in 0..13u32 {
        let slot = number % 4;
        assert_eq!(bench.look(), Err(Seen::All));
        bench.record(slot as usize, fault(u64::from(number) << 12));
        bench.announce(((slot + 1) % 4) << 4);
        let event = bench.look().unwrap();
        assert_eq!(event.address().raw(), u64::from(number) << 12);
        assert_eq!(bench.take(), Some(u64::from(number) << 12));
        assert_eq!(bench.registers.read32(HEAD), ((slot + 1) % 4) << 4);
        assert_eq!(bench.take(), None);
    }
    // The next place was written in the lap before.
    bench.announce(0x20);
    assert_eq!(bench.look(), Err(Seen::NotYet), "erased at the start");
}

#[test]
fn what_was_seen_can_be_dropped_and_what_was_not_stays() {
    let mut bench = Bench::new();
    for slot in 0..3 {
        bench.record(slot, fault(0x1000));
    }
    bench.announce(0x30);
    assert!(bench.look().is_ok() && bench.look().is_ok());
    assert_eq!(bench.log.drop_seen(&bench.registers), 2);
    assert_eq!(bench.registers.read32(HEAD), 0x20);
    assert_eq!(bench.log.drop_seen(&bench.registers), 0);
    assert!(bench.look().is_ok());
}

#[test]
fn a_place_that_is_given_back_takes_no_other_record_with_it() {
    let mut bench = Bench::new();
    for slot in 0..4 {
        bench.record(slot, fault(0x1000 * (slot as u64 + 1)));
    }
    bench.announce(0x30);
    for _ in 0..3 {
        assert!(bench.look().is_ok());
    }
    assert_eq!([bench.take(), bench.take()], [Some(0x1000), Some(0x2000)]);
    bench.record(0, fault(0x5000));
    bench.announce(0x10);
    assert_eq!(bench.take(), Some(0x3000));
    for address in [0x4000, 0x5000] {
        assert_eq!(bench.look().unwrap().address().raw(), address);
        assert_eq!(bench.take(), Some(address));
    }
}
