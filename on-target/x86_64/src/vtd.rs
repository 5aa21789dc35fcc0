//! The VT-d remapping unit of this machine, driven by the library, the memory it is given, and its fault records.

use core::cell::OnceCell;

use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::{Mmio, VolatileMmio};
use tlb_shootdown::iommu::vtd::{
    Config, Context, DeviceSetup, InitError, Levels, Memory, SourceId, TranslationConfig, Vtd,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_scenarios::Refusal;

use crate::broken::Broken;
use crate::clock;
use crate::dma_memory::Aligned;
use crate::fault::Fault;
use crate::layout::{VTD, VTD_FAULTS, VTD_FAULTS_LEN, VTD_LEN, mapped};
use crate::platform::{Barriers, ENGINE, Kernel};
use crate::process::PageTable;

/// Devices, address spaces and contexts that the driver has room for.
const SLOTS: usize = 4;
/// The driver.
pub(crate) type Driver = Vtd<VolatileMmio, Barriers, IrqTicketLock<Kernel>, SLOTS>;

struct Instance(OnceCell<Driver>);

// SAFETY: set once, by CPU 0, before any other CPU is told of it; the driver itself may be shared.
unsafe impl Sync for Instance {}

static INSTANCE: Instance = Instance(OnceCell::new());

/// 128 descriptors.
static QUEUE: Aligned<4096> = Aligned::new();
/// What the waits among them write.
static STATUS: Aligned<1024> = Aligned::new();
static ROOT: Aligned<4096> = Aligned::new();
/// Both halves of bus 0.
static CONTEXTS: Aligned<8192> = Aligned::new();
/// One PASID table for each device: requests without a PASID have an entry in it as well.
static PASIDS: [Aligned<8192>; SLOTS] = [const { Aligned::new() }; SLOTS];

/// VER_REG, 0x00: 0 in no unit.
const VERSION: usize = 0;

/// Whether the machine has one.
pub(crate) fn is_there() -> bool {
    // SAFETY: mapped; the driver does not have it yet, and the register does nothing.
    let registers = unsafe { VolatileMmio::new(mapped(VTD), VTD_LEN) };
    !matches!(registers.read32(VERSION), 0 | u32::MAX)
}

/// Sets the unit up and puts the devices with these requester ids under translation: their accesses are refused until
/// a space is attached. Called once.
///
/// # Errors
/// Those of the driver.
///
/// # Panics
/// Where it is called twice.
pub(crate) fn bring_up(requesters: impl Iterator<Item = u32>) -> Result<&'static Driver, Broken> {
    assert!(INSTANCE.0.get().is_none(), "the unit is set up once");
    let driver = new_driver()?;
    let vtd = INSTANCE.0.get_or_init(|| driver);
    vtd.init(&mut clock::patience())?;
    for (requester, pasids) in requesters.zip(&PASIDS) {
        let setup = DeviceSetup {
            device: SourceId(requester as u16),
            // SAFETY: once for each device, as the assertion above is passed once.
            pasids: Some(unsafe { pasids.give_away() }),
            pasid_bits: 0,
            device_tlb: None,
            page_requests: false,
        };
        vtd.add_device(setup, &mut clock::patience())?;
    }
    Ok(vtd)
}

/// Called once.
fn new_driver() -> Result<Driver, InitError> {
    // SAFETY: the registers of this machine's unit but its fault records, which the driver leaves to the kernel.
    let registers = unsafe { VolatileMmio::new(mapped(VTD), VTD_LEN) };
    // SAFETY: called once, as is the function around it, here and below.
    let queue = unsafe { QUEUE.give_away() };
    // SAFETY: as above.
    let status = unsafe { STATUS.give_away() };
    // SAFETY: as above.
    let root = unsafe { ROOT.give_away() };
    // SAFETY: as above.
    let contexts = unsafe { CONTEXTS.give_away() };
    let memory = Memory {
        queue,
        status,
        root,
        contexts,
    };
    let lock = IrqTicketLock::new(ENGINE.platform());
    Vtd::new(registers, Barriers, lock, memory, Config::new())
}

/// Reserves the devices for `table`, which they are to walk as the CPUs do. They do not yet.
///
/// # Errors
/// Those of the driver.
pub(crate) fn reserve(
    vtd: &Driver,
    requesters: &[u32],
    table: &PageTable,
) -> Result<AttachKey, Broken> {
    let context = |&requester: &u32| Context {
        device: SourceId(requester as u16),
        pasid: None,
    };
    let translation = TranslationConfig {
        root: PhysAddr::new(table.root()),
        levels: Levels::Four,
    };
    Ok(match requesters {
        [one] => vtd.reserve(&[context(one)], &translation)?,
        [one, other] => vtd.reserve(&[context(one), context(other)], &translation)?,
        _ => return Err(Broken::NoDevice),
    })
}

/// The upper half of a fault record (VT-d 11.4.14): source id, reason, and F, which is cleared by writing it.
const SOURCE: u64 = 0xffff;
const REASON: u32 = 32;
const RECORDED: u64 = 1 << 63;
/// Fault reasons of the first stage (VT-d 7.2.3): an entry that is not present, and a write without the right.
const NOT_PRESENT: u8 = 0x71;
const NO_WRITE: u8 = 0x85;

/// What the unit has recorded: QEMU's has one record, and keeps no other fault while it is taken.
pub(crate) fn next_fault() -> Option<Fault> {
    // SAFETY: mapped; the driver leaves the records to the kernel, and no access of one here disturbs another.
    let record = unsafe { VolatileMmio::new(mapped(VTD_FAULTS), VTD_FAULTS_LEN) };
    let high = record.read64(8);
    if high & RECORDED == 0 {
        return None;
    }
    let page = record.read64(0);
    record.write64(8, RECORDED);
    Some(Fault {
        requester: (high & SOURCE) as u32,
        address: Some(page),
        refusal: match (high >> REASON) as u8 {
            NOT_PRESENT => Refusal::Translation,
            NO_WRITE => Refusal::Permission,
            _ => Refusal::Other,
        },
    })
}
