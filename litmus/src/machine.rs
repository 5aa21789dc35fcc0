//! The engine on the recorder: two CPUs that one thread plays in turn.

use std::sync::atomic::{AtomicU32, Ordering};

use tlb_shootdown::address::{PageSize, PhysAddr};
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::{Aarch64, Config};
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::error::Incomplete;
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown::ticket::{FrameSink, Item};
use tlb_shootdown_model::recorder::aarch64::{Executed, Identification};

use crate::interleaved::Interleaved;

/// The kernel underneath.
#[derive(Default)]
pub(crate) struct Host {
    cpu: AtomicU32,
    repairs_spurious_faults: bool,
}

// SAFETY: one thread, and nobody else is interrupted or pinned.
unsafe impl Platform for Host {
    type Arch = Aarch64<Interleaved, 1>;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _targets: CpuMask<'_>) {}

    fn repairs_spurious_faults(&self) -> bool {
        self.repairs_spurious_faults
    }
}

pub(crate) type Engine = Shootdown<Host, 1>;
pub(crate) type Space = AddressSpace<Aarch64<Interleaved, 1>, 1>;

/// Nobody is known to be affected by an erratum.
const SOUND: Identification = Identification::FULL;

/// A Cortex-A76 (MIDR_EL1 0x410fd0b0): its broadcasts are to be repeated.
pub(crate) const AFFECTED: Identification = Identification {
    midr: 0x410f_d0b0,
    ..SOUND
};

/// CPUs with every optional feature and 4 KiB pages, online and sealed.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
}

impl Machine {
    /// Two of them, whose kernel does not repair spurious faults.
    pub(crate) fn new() -> Self {
        Self::with_cpus(&[1, 0])
    }

    /// Two whose kernel does.
    pub(crate) fn that_repairs_spurious_faults() -> Self {
        let host = Host {
            repairs_spurious_faults: true,
            ..Host::default()
        };
        Self::started(host, Config::new(Granule::Kib4), SOUND, &[1, 0])
    }

    /// These alone.
    pub(crate) fn with_cpus(cpus: &[u32]) -> Self {
        Self::started(Host::default(), Config::new(Granule::Kib4), SOUND, cpus)
    }

    /// Two that have the erratum.
    pub(crate) fn affected() -> Self {
        let config = Config::new(Granule::Kib4);
        Self::started(Host::default(), config, AFFECTED, &[1, 0])
    }

    /// Two whose kernel keeps itself out of the processes' tables.
    pub(crate) fn with_pairs_of_asids() -> Self {
        let config = Config::new(Granule::Kib4).kpti();
        Self::started(Host::default(), config, SOUND, &[1, 0])
    }

    fn started(host: Host, config: Config, alike: Identification, cpus: &[u32]) -> Self {
        let arch = Aarch64::new(Interleaved::new(alike), config);
        let machine = Self {
            engine: Engine::new(host, arch),
        };
        for cpu in cpus {
            machine.on(*cpu).cpu_online().expect("few and alike");
        }
        machine.engine.arch().seal_features();
        machine.take();
        machine
    }

    /// The engine, called by this CPU.
    pub(crate) fn on(&self, cpu: u32) -> &Engine {
        self.engine.platform().cpu.store(cpu, Ordering::Relaxed);
        &self.engine
    }

    /// A space that has run on these CPUs, on the last of them at last.
    pub(crate) fn space(&self, cpus: &[u32]) -> (Space, u64) {
        let space = self.engine.new_space();
        let mut asid = 0;
        for cpu in cpus {
            let id = self.on(*cpu).switch_to(&space).expect("an ASID is left");
            self.engine.root_loaded();
            asid = id.0;
        }
        self.take();
        (space, asid)
    }

    /// Everything executed since the last look.
    pub(crate) fn take(&self) -> Vec<Executed> {
        self.engine.arch().instructions().take()
    }
}

/// Where memory goes that a test has unmapped: nowhere.
pub(crate) struct Nowhere;

impl FrameSink<1> for Nowhere {
    fn release_frame(&self, _: PhysAddr, _: PageSize) {}

    fn release_table(&self, _: PhysAddr) {}

    fn quarantine(&self, _: &[Item], _: &Incomplete<1>) {}
}
