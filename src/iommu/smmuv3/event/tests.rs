use super::{Event, EventQueue};
use crate::dma::Mmio as _;
use crate::iommu::memory::Table;
use crate::iommu::test_memory::{Coherent, Registers, region};

/// IHI 0070 6.3.29 to 6.3.31: SMMU_EVENTQ_BASE, and SMMU_EVENTQ_PROD and SMMU_EVENTQ_CONS on page 1.
const BASE: usize = 0xa0;
const PROD: usize = 0x1_00a8;
const CONS: usize = 0x1_00ac;

/// Four records.
fn queue() -> EventQueue {
    EventQueue::new(Table::new(region(0x5000, 128), 128, 128, 48).unwrap(), 2)
}

/// F_TRANSLATION (7.3.13): the type in bits 7:0, SSV in 11, the substream in 31:12, the stream in 63:32, RnW in 99 and the address in
/// 191:128; Linux `EVTQ_0_*` and `EVTQ_1_RnW`.
#[test]
fn the_fields_of_a_record() {
    let words = [
        0x1234_5678_abcd_e810,
        0x8_0000_0000,
        0xffff_8000_dead_b000,
        0x5a,
    ];
    let event = Event(words);
    assert_eq!(event.kind(), Event::TRANSLATION);
    assert_eq!(event.stream().0, 0x1234_5678);
    assert_eq!(event.substream().map(|ssid| ssid.raw()), Some(0xa_bcde));
    assert!(event.is_read());
    assert_eq!(event.address().raw(), 0xffff_8000_dead_b000);
    assert_eq!(event.words(), words);

    let others = Event([0xffff_ffff_ffff_f7ff, !0x8_0000_0000, 0, 0]);
    assert_eq!(others.kind(), 0xff);
    assert_eq!(others.substream(), None);
    assert!(!others.is_read());
    assert_eq!(others.stream().0, 0xffff_ffff);
}

/// 7.2: records are taken in order for several laps, the wrap bit included, and an overflow is acknowledged with the place (7.4).
#[test]
fn records_are_taken_in_order_and_overflow_is_acknowledged() {
    let registers = Registers::with(7);
    let mut queue = queue();
    for round in 0..2 {
        queue.program(&registers);
        assert_eq!(registers.read64(BASE), 0x5002);
        assert_eq!([registers.read32(PROD), registers.read32(CONS)], [0, 0]);
        assert_eq!(queue.next(&registers, &Coherent), None, "round {round}");
        for number in 0..11u32 {
            let slot = number as usize % 4;
            queue.table.store(4 * slot + 2, number.into());
            queue.table.store(4 * slot + 3, 0x100 + u64::from(number));
            let overflow = (number & 1) << 31;
            registers.write32(PROD, ((number + 1) % 8) | overflow);
            let event = queue.next(&registers, &Coherent).unwrap();
            assert_eq!(
                event.words(),
                [0, 0, number.into(), 0x100 + u64::from(number)]
            );
            assert_eq!(registers.read32(CONS), ((number + 1) % 8) | overflow);
            assert_eq!(queue.next(&registers, &Coherent), None);
        }
    }
}

#[test]
fn a_full_queue_is_emptied() {
    let registers = Registers::with(7);
    let mut queue = queue();
    queue.program(&registers);
    (0..4).for_each(|slot| queue.table.store(4 * slot + 2, slot as u64));
    registers.write32(PROD, 4);
    for slot in 0..4 {
        let event = queue.next(&registers, &Coherent).unwrap();
        assert_eq!(event.address().raw(), slot);
    }
    assert_eq!(queue.next(&registers, &Coherent), None);
}
