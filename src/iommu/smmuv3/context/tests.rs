use super::{ContextDescriptor, ContextTable};
use crate::iommu::memory::Table;
use crate::iommu::test_memory::{Cleaned, region};

/// Four contexts.
const LEN: usize = 4 * 64;

/// The contexts, and where their memory begins.
fn contexts() -> (ContextTable, usize) {
    let region = region(0x1000, LEN);
    let base = region.virt().as_ptr() as usize;
    let table = Table::new(region, LEN, 64, 48).unwrap();
    (ContextTable::new(table), base)
}

/// The control word of IHI 0070 5.4 with V (31), AA64 (41), R (45), A (46) and ASID 7 (63:48).
const CONTROL: u64 = 0x0007_6200_8000_0000;
/// The same with EPD0 (14) and without R.
const SILENT: u64 = 0x0007_4200_8000_4000;

const DESCRIPTOR: ContextDescriptor = ContextDescriptor {
    control: CONTROL,
    root: 0x4_5678_9000,
    mair: 0xff,
};

#[test]
fn a_context_is_written_and_cleaned_alone() {
    let (contexts, base) = contexts();
    let device = Cleaned::default();
    contexts.install(1, &DESCRIPTOR, &device, false);
    contexts.install(2, &DESCRIPTOR, &device, false);
    assert_eq!(
        device.take(base),
        [(64, 64), (64, 64), (128, 64), (128, 64)]
    );
    for at in [8, 16] {
        let words = core::array::from_fn(|word| contexts.table.load(at + word));
        assert_eq!(words, [CONTROL, 0x4_5678_9000, 0, 0xff, 0, 0, 0, 0]);
    }
    assert_eq!([contexts.table.load(0), contexts.table.load(24)], [0, 0]);
    contexts.clear(1, &device, true);
    assert_eq!(
        [contexts.table.load(8), contexts.table.load(16)],
        [0, CONTROL]
    );
    assert_eq!(device.take(base), [], "coherent");
}

#[test]
fn silencing_twice_is_silencing_once() {
    let (contexts, _) = contexts();
    let device = Cleaned::default();
    contexts.install(3, &DESCRIPTOR, &device, true);
    for _ in 0..2 {
        contexts.silence(3, &device, true);
        assert_eq!(contexts.table.load(24), SILENT);
    }
    contexts.silence(2, &device, true);
    assert_eq!(contexts.table.load(16), 0, "there was none");
}
