//! A machine with one link, and processes that share their tables with its accelerators.

use crate::random_kernel::{Machine as _, lend};
use crate::rig::{Parts, Platform, Process, Rig};
use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::iommu::ocxl::{self, Config, Context, FunctionId, Link, Mode, Pasid, Pid};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::{CpuFeatures, Role};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::{DevicePort, LinkOptions, LinkPort, ModelHost};
use tlb_shootdown_model::platform::ModelBarriers;

pub(crate) const BASE: u64 = 0x4000_0000;
/// Bus 4, device 0, function 1.
const FUNCTION: u16 = 0x0401;
const ELEMENTS: u64 = 16;

type Driver = Link<LinkPort, ModelBarriers, IrqTicketLock<Platform>, ModelHost>;

/// A link that the library drives.
pub(crate) struct Behind {
    pub(crate) port: LinkPort,
    pub(crate) driver: &'static Driver,
    pub(crate) host: ModelHost,
}

/// The library on a machine with one.
pub(crate) struct Linked {
    pub(crate) rig: Rig,
    pub(crate) link: Behind,
}

/// A process that a device acts for.
pub(crate) struct Shared {
    pub(crate) process: Process,
    pub(crate) device: DevicePort,
    pub(crate) key: AttachKey,
    pub(crate) attachment: Attachment,
}

/// Every kind of link that differs in what a driver has to do, with CPUs of its kind.
pub(crate) fn kinds() -> [(CpuFeatures, LinkOptions); 5] {
    let (power9, power10) = (CpuFeatures::POWER9, CpuFeatures::POWER10);
    [
        (power9, LinkOptions::POWER9),
        (power9, LinkOptions::POWER9.snooping()),
        (power10, LinkOptions::POWER10),
        (power10, LinkOptions::POWER10.snooping()),
        // What a guest may not broadcast its hypervisor does, for nest MMUs as well.
        (
            power10.as_a(Role::GuestWithoutTlbie),
            LinkOptions::POWER10.snooping(),
        ),
    ]
}

impl Behind {
    pub(crate) fn new(rig: &Rig, options: LinkOptions) -> Self {
        let port = rig.model.add_link(options);
        let host = ModelHost::new(port.clone());
        let platform: &'static Platform = lend(rig.platform.clone());
        let mode = match options.snoops {
            true => Mode::Snooping,
            false => Mode::Atsd(port.clone()),
        };
        let config = match options.believes_its_rights {
            true => Config::power9(),
            false => Config::power10(),
        };
        let barriers = ModelBarriers::new(rig.model.clone());
        let area = rig.model.share(ELEMENTS * 128, 0x1000);
        let lock = IrqTicketLock::new(platform);
        let driver = Link::new(mode, barriers, lock, area, host.clone(), config).unwrap();
        port.set_process_area(driver.spa().raw(), ELEMENTS * 128);
        Self {
            port,
            driver: lend(driver),
            host,
        }
    }

    pub(crate) fn reserve(
        &self,
        function: u16,
        pasid: u32,
        pid: u32,
    ) -> Result<AttachKey, ocxl::AttachError> {
        let context = Context {
            pasid: Pasid::new(pasid).unwrap(),
            function: FunctionId(function),
            thread: 0,
            amr: 0,
        };
        let process = ocxl::Process {
            pid: Pid::new(pid).unwrap(),
            lpid: 0,
            wide: true,
            tag_checks: false,
        };
        self.driver.reserve(&[context], &process)
    }
}

impl Linked {
    pub(crate) fn new(features: CpuFeatures, options: LinkOptions, temper: Temper) -> Self {
        let rig = Rig::new(Parts::new(features, temper));
        let link = Behind::new(&rig, options);
        Self { rig, link }
    }

    /// The registers of a second link, and what a kernel does for it. Nothing drives it yet.
    pub(crate) fn another_link(&self) -> (LinkPort, ModelHost) {
        let port = self.rig.model.add_link(LinkOptions::POWER10);
        let host = ModelHost::new(port.clone());
        (port, host)
    }

    /// A process that runs here, and shares its tables under this PASID. Nothing is mapped.
    pub(crate) fn share(&self, pasid: u32) -> Shared {
        let process = self.rig.process();
        self.rig.switch(0, &process);
        let pid = self.rig.pid(&process).unwrap();
        let key = self.reserve(pasid, pid).unwrap();
        let engine = &self.rig.engine;
        let driver = self.link.driver;
        let attachment = engine.attach(process.space, driver, key).unwrap();
        driver.install(key).unwrap();
        Shared {
            device: self.link.host.start(FUNCTION, pasid),
            process,
            key,
            attachment,
        }
    }

    pub(crate) fn reserve(&self, pasid: u32, pid: u32) -> Result<AttachKey, ocxl::AttachError> {
        self.link.reserve(FUNCTION, pasid, pid)
    }

    /// Maps a page of this size, visibly, and says which frame it is.
    pub(crate) fn map(&self, shared: &Shared, va: u64, size: PageSize, rights: Rights) -> u64 {
        let frame = self.rig.model.allocate(size.bytes());
        let mapping = tlb_shootdown_model::memory::Mapping {
            level: if size == PageSize::MIB_2 { 2 } else { 3 },
            ..tlb_shootdown_model::memory::Mapping::page(frame, rights)
        };
        shared.process.tables.map(0, va, mapping);
        self.rig.publish();
        self.returned(shared, va, va | (size.bytes() - 1));
        frame
    }

    pub(crate) fn returned(&self, shared: &Shared, first: u64, last: u64) {
        let root = shared.process.tables.root();
        self.rig.model.returned(root, first, last);
    }

    /// Flushes, and tells the oracle that everything is as it must be.
    pub(crate) fn flush(&self, shared: &Shared, flush: Flush) {
        self.rig.engine.flush(shared.process.space, flush).unwrap();
        self.returned(shared, 0, u64::MAX);
    }

    #[track_caller]
    pub(crate) fn assert_clean(&self) {
        assert_eq!(self.rig.model.violations(), []);
    }
}

pub(crate) fn small(va: u64) -> Flush {
    Flush::page(VirtAddr::new(va), PageSize::KIB_4)
}

pub(crate) fn range(va: u64, pages: u64) -> PageRange {
    PageRange::from_len(VirtAddr::new(va), pages << 12, PageSize::KIB_4).unwrap()
}
