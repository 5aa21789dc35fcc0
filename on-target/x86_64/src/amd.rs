//! The AMD IOMMU of this machine, driven by the library, and the memory it is given.

use core::cell::OnceCell;

use tlb_shootdown::address::PhysAddr;
use tlb_shootdown::dma::VolatileMmio;
use tlb_shootdown::iommu::amd::{
    Config, Context, DeviceId, DeviceKind, DeviceSetup, Event, InitError, Iommu, Memory,
    Translation,
};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_on_target_devices::Ids;
use tlb_shootdown_scenarios::{Directory, Refusal};

use crate::broken::Broken;
use crate::dma_memory::Aligned;
use crate::domain_table::{DomainTable, LEVELS};
use crate::fault::Fault;
use crate::layout::{AMD_IOMMU, AMD_IOMMU_LEN, mapped};
use crate::platform::{Barriers, ENGINE, Kernel};
use crate::{clock, pci};

/// How QEMU's AMD IOMMU is found among the PCI functions.
const IDS: Ids = Ids {
    vendor: 0x1022,
    device: 0x1419,
};
/// The capability that describes it (AMD 48882, 3.2).
const CAPABILITY: u8 = 0x0f;

/// Devices, address spaces and contexts that the driver has room for.
const SLOTS: usize = 4;
/// The driver.
pub(crate) type Driver = Iommu<VolatileMmio, Barriers, IrqTicketLock<Kernel>, SLOTS>;

struct Instance(OnceCell<Driver>);

// SAFETY: set once, by CPU 0, before any other CPU is told of it; the driver itself may be shared.
unsafe impl Sync for Instance {}

static INSTANCE: Instance = Instance(OnceCell::new());

/// 256 commands.
static COMMANDS: Aligned<4096> = Aligned::new();
/// 256 devices: every function of bus 0.
static DEVICES: Aligned<8192> = Aligned::new();
/// 256 events.
static EVENTS: Aligned<4096> = Aligned::new();
/// The word that completions are stored to.
static COMPLETION: Aligned<8> = Aligned::new();

/// What the devices walk.
static TABLE: DomainTable = DomainTable::new();

/// The first double word of its capability, where the machine has one.
pub(crate) fn find() -> Option<u32> {
    pci::capability(IDS, CAPABILITY)
}

/// Sets the IOMMU up and puts the devices with these requester ids under translation: their accesses are refused until
/// a space is attached. Called once.
///
/// # Errors
/// Those of the driver.
///
/// # Panics
/// Where it is called twice.
pub(crate) fn bring_up(
    capability: u32,
    requesters: impl Iterator<Item = u32>,
) -> Result<&'static Driver, Broken> {
    assert!(INSTANCE.0.get().is_none(), "the IOMMU is set up once");
    let driver = new_driver(capability)?;
    let iommu = INSTANCE.0.get_or_init(|| driver);
    iommu.init(&mut clock::patience())?;
    for requester in requesters {
        let setup = DeviceSetup {
            device: DeviceId(requester as u16),
            kind: DeviceKind::Host,
            ats: None,
        };
        iommu.add_device(setup, &mut clock::patience())?;
    }
    Ok(iommu)
}

/// Called once.
fn new_driver(capability: u32) -> Result<Driver, InitError> {
    // SAFETY: the register block of this machine, which the driver alone uses.
    let registers = unsafe { VolatileMmio::new(mapped(AMD_IOMMU), AMD_IOMMU_LEN) };
    // SAFETY: called once, as is the function around it, here and below.
    let commands = unsafe { COMMANDS.give_away() };
    // SAFETY: as above.
    let devices = unsafe { DEVICES.give_away() };
    // SAFETY: as above.
    let events = unsafe { EVENTS.give_away() };
    // SAFETY: as above.
    let completion = unsafe { COMPLETION.give_away() };
    let memory = Memory {
        commands,
        devices,
        events: Some(events),
        completion,
    };
    let lock = IrqTicketLock::new(ENGINE.platform());
    Iommu::new(registers, Barriers, lock, memory, Config::new(capability))
}

/// Reserves the devices for the table that [`mirror`] keeps. They do not walk it yet.
///
/// # Errors
/// Those of the driver.
pub(crate) fn reserve(iommu: &Driver, requesters: &[u32]) -> Result<AttachKey, Broken> {
    let context = |&requester: &u32| Context {
        device: DeviceId(requester as u16),
        pasid: None,
    };
    let translation = Translation::Host {
        root: PhysAddr::new(TABLE.root()),
        levels: LEVELS,
    };
    Ok(match requesters {
        [one] => iommu.reserve(&[context(one)], &translation)?,
        [one, other] => iommu.reserve(&[context(one), context(other)], &translation)?,
        _ => return Err(Broken::NoDevice),
    })
}

/// Repeats what was done to the entry of a process's page. No TLB is told, here and below.
pub(crate) fn mirror(page: usize, entry: Option<(u64, bool)>) {
    TABLE.set(page, entry);
}

/// Repeats what was done to the entry above a process's pages.
pub(crate) fn mirror_directory(to: Directory) {
    TABLE.set_directory(to);
}

/// Repeats that a process's table was cleared.
pub(crate) fn clear_mirror() {
    TABLE.clear();
}

/// What the IOMMU has recorded. QEMU's records of page faults carry neither the address nor whether there was an entry.
pub(crate) fn next_fault(iommu: &Driver) -> Option<Fault> {
    let event = iommu.next_event()?;
    Some(Fault {
        requester: event.device().0.into(),
        address: None,
        refusal: match event.kind() {
            Event::PAGE_FAULT => Refusal::Unreported,
            _ => Refusal::Other,
        },
    })
}
