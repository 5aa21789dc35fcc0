//! POWER, with an accelerator behind an OpenCAPI link: one that snoops, of a POWER9, and one with ATSD registers, of a POWER10; and a
//! guest, which has none.

mod link;

use crate::broken::Broken;
use crate::family::{Family, Platform};
use crate::machine::proof::{Kind as Ported, Proof, prove};
use crate::{Played, play};
use core::marker::PhantomData;
use link::Link;
use tlb_shootdown::arch::powerpc::{Config, PowerPc};
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, ModelInstructions, Role};
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::ocxl::LinkOptions;
use tlb_shootdown_model::{Model, Temper};
use tlb_shootdown_scenarios::Yardstick;

/// What holds of the POWER9.
pub const SNOOPING_YARDSTICK: &Yardstick = &Yardstick::POWER9_SNOOPING_MODEL;
/// What holds of the POWER10.
pub const ATSD_YARDSTICK: &Yardstick = &Yardstick::POWER10_ATSD_MODEL;
/// What holds of the guest.
pub const GUEST_YARDSTICK: &Yardstick = &Yardstick::POWER10_GUEST_MODEL;

/// Plays every case to every observer on the POWER9, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn snooping_cells() -> Played {
    play::<With<Snooping>>()
}

/// Plays every case to every observer on the POWER10, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn atsd_cells() -> Played {
    play::<With<Atsd>>()
}

/// Plays every case to every CPU of the guest, in the order of the table.
///
/// # Errors
/// See [`Played`].
pub fn guest_cells() -> Played {
    play::<With<Guest>>()
}

/// Proves the ports of the POWER9 with the conformance suite.
///
/// # Errors
/// [`Broken`].
pub fn snooping_proof() -> Result<Proof, Broken> {
    prove::<With<Snooping>>(&Ported {
        kernel: KERNEL,
        shares: true,
        borrows: true,
    })
}

/// Proves the ports of the POWER10 with the conformance suite.
///
/// # Errors
/// [`Broken`].
pub fn atsd_proof() -> Result<Proof, Broken> {
    prove::<With<Atsd>>(&Ported {
        kernel: KERNEL,
        shares: true,
        borrows: true,
    })
}

/// Proves the ports of the guest with the conformance suite.
///
/// # Errors
/// [`Broken`].
pub fn guest_proof() -> Result<Proof, Broken> {
    prove::<With<Guest>>(&Ported {
        kernel: KERNEL,
        shares: false,
        borrows: true,
    })
}

/// Where the kernel's quadrant begins.
const KERNEL: u64 = 0xc000_0000_0000_0000;

type Arch = PowerPc<ModelInstructions, 1>;

/// The machine with these CPUs and this link.
struct With<K>(PhantomData<K>);

/// In what such machines differ.
trait Kind: 'static {
    const CPU: CpuFeatures;
    const CONFIG: Config = Config::hypervisor();
    const LINK: LinkOptions;
    const YARDSTICK: &'static Yardstick;
}

struct Snooping;

impl Kind for Snooping {
    const CPU: CpuFeatures = CpuFeatures::POWER9;
    const LINK: LinkOptions = LinkOptions::POWER9.snooping();
    const YARDSTICK: &'static Yardstick = SNOOPING_YARDSTICK;
}

struct Atsd;

impl Kind for Atsd {
    const CPU: CpuFeatures = CpuFeatures::POWER10;
    const LINK: LinkOptions = LinkOptions::POWER10;
    const YARDSTICK: &'static Yardstick = ATSD_YARDSTICK;
}

/// Its link is never used.
struct Guest;

impl Kind for Guest {
    const CPU: CpuFeatures = CpuFeatures::POWER10.as_a(Role::Guest);
    const CONFIG: Config = Config::guest();
    const LINK: LinkOptions = LinkOptions::POWER10.snooping();
    const YARDSTICK: &'static Yardstick = GUEST_YARDSTICK;
}

impl<K: Kind> Family for With<K> {
    type Arch = Arch;
    type Iommu = Link<Arch>;

    const YARDSTICK: &'static Yardstick = K::YARDSTICK;

    fn model(cpus: usize) -> Model {
        Model::with_power_cpus(&vec![K::CPU; cpus], Temper::Late)
    }

    fn arch(model: &Model) -> Arch {
        Arch::new(ModelInstructions::new(model.clone()), K::CONFIG)
    }

    /// There is nothing to seal.
    fn seal(_: &Arch) {}

    fn tables(model: &Model) -> Tables {
        model.radix_tables()
    }

    fn iommu(platform: &'static Platform<Self>) -> Result<Link<Arch>, Broken> {
        Link::new(platform, K::LINK)
    }
}
