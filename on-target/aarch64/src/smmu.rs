//! The SMMUv3 of this machine, driven by the library, and the memory it is given.

use core::cell::{OnceCell, UnsafeCell};
use core::ptr::NonNull;

use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::{DmaRegion, VolatileMmio};
use tlb_shootdown::iommu::smmuv3::{
    self, AsidSource, AttachError, Cacheability, Config, Context, Granule, InitError, Memory,
    Shareability, StreamId, StreamSetup, TableUpdates, TranslationConfig,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::AttachKey;

use crate::boot::{MAIR, PHYSICAL_SIZE, T0SZ};
use crate::broken::Broken;
use crate::clock;
use crate::layout::{self, mapped, phys_of};
use crate::platform::{Barriers, ENGINE, Kernel};
use crate::process::PageTable;

/// Streams, address spaces and contexts that the driver has room for.
const SLOTS: usize = 4;
/// The driver.
pub type Smmu = smmuv3::Smmu<VolatileMmio, Barriers, IrqTicketLock<Kernel>, SLOTS>;

/// How long the SMMU may take to answer.
const PATIENCE: u64 = 2_000_000_000;

struct Instance(OnceCell<Smmu>);

// SAFETY: set once, by CPU 0, before any other CPU is told of it; the driver itself may be shared.
unsafe impl Sync for Instance {}

static INSTANCE: Instance = Instance(OnceCell::new());

/// Memory for a table or a queue: aligned to more than any of them needs.
#[repr(C, align(16384))]
struct Aligned<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: given away whole, once, to the driver.
unsafe impl<const BYTES: usize> Sync for Aligned<BYTES> {}

impl<const BYTES: usize> Aligned<BYTES> {
    const fn new() -> Self {
        Self(UnsafeCell::new([0; BYTES]))
    }

    /// # Safety
    /// Called once.
    unsafe fn give_away(&'static self) -> DmaRegion {
        let start = NonNull::from(&self.0).cast();
        let phys = PhysAddr::new(phys_of(self.0.get()));
        // SAFETY: static and contiguous; the caller gives it away once; QEMU's SMMU is coherent.
        unsafe { DmaRegion::new(start, phys, BYTES) }
    }
}

/// 256 commands.
static COMMANDS: Aligned<4096> = Aligned::new();
/// 256 streams: every function of bus 0.
static STREAMS: Aligned<16384> = Aligned::new();
/// 128 events.
static EVENTS: Aligned<4096> = Aligned::new();
/// One context descriptor for each device.
static CONTEXTS: [Aligned<64>; SLOTS] = [const { Aligned::new() }; SLOTS];

/// Sets the SMMU up and puts the devices with these requester ids under translation: their accesses are refused until
/// a space is attached. Called once.
///
/// # Errors
/// Those of the driver.
///
/// # Panics
/// Where it is called twice.
pub fn bring_up(requesters: impl Iterator<Item = u32>) -> Result<&'static Smmu, Broken> {
    assert!(INSTANCE.0.get().is_none(), "the SMMU is set up once");
    let driver = new_driver()?;
    let smmu = INSTANCE.0.get_or_init(|| driver);
    smmu.init(&mut patience())?;
    for (requester, contexts) in requesters.zip(&CONTEXTS) {
        let setup = StreamSetup {
            stream: StreamId(requester),
            // SAFETY: once for each device, as the assertion above is passed once.
            contexts: unsafe { contexts.give_away() },
            substream_bits: 0,
            ats: None,
        };
        smmu.add_stream(setup, &mut patience())?;
    }
    Ok(smmu)
}

/// Called once.
fn new_driver() -> Result<Smmu, InitError> {
    // SAFETY: the register block of this machine, which the driver alone uses.
    let registers = unsafe { VolatileMmio::new(mapped(layout::SMMU), layout::SMMU_LEN) };
    // SAFETY: called once, as is the function around it, here and below.
    let commands = unsafe { COMMANDS.give_away() };
    // SAFETY: as above.
    let streams = unsafe { STREAMS.give_away() };
    // SAFETY: as above.
    let events = unsafe { EVENTS.give_away() };
    let memory = Memory {
        commands,
        streams,
        events: Some(events),
        message: None,
    };
    let lock = IrqTicketLock::new(ENGINE.platform());
    Smmu::new(registers, Barriers, lock, memory, Config::new())
}

/// Reserves the devices' contexts for `table`, which they are to walk as the CPUs do. They do not yet.
///
/// # Errors
/// Those of the driver.
pub fn reserve(
    smmu: &Smmu,
    devices: &[Context],
    table: &PageTable,
) -> Result<AttachKey, AttachError> {
    let translation = TranslationConfig {
        root: PhysAddr::new(table.root()),
        t0sz: T0SZ as u8,
        granule: Granule::Kib4,
        ips: PHYSICAL_SIZE as u8,
        mair: MAIR,
        shareability: Shareability::Inner,
        inner: Cacheability::WriteBack,
        outer: Cacheability::WriteBack,
        updates: TableUpdates::Software,
        asid: AsidSource::Private,
    };
    smmu.reserve(devices, &translation)
}

/// A wait for the SMMU that ends.
pub fn patience() -> impl FnMut() -> bool {
    let end = clock::now() + PATIENCE;
    move || {
        clock::relax();
        clock::now() < end
    }
}
