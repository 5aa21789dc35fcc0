//! The library's driver of OpenCAPI links on the model's registers, with one accelerator.

use crate::broken::Broken;
use crate::family::{self, patience};
use std::sync::Mutex;
use tlb_shootdown::arch::{Arch, HardwareId};
use tlb_shootdown::iommu::ocxl::{self, Config, Context, FunctionId, Mode, Pasid, Pid, Process};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_model::ocxl::{DeviceFault, DevicePort, LinkOptions, LinkPort, ModelHost};
use tlb_shootdown_model::platform::{ModelBarriers, ModelPlatform};
use tlb_shootdown_scenarios::{Access, Refusal};

const FUNCTION: u16 = 1;
const PASID: u32 = 5;
/// The scheduled process area: 32 elements of 128 bytes.
const AREA: u64 = 0x1000;

type Driver<A> = ocxl::Link<LinkPort, ModelBarriers, IrqTicketLock<ModelPlatform<A>>, ModelHost>;

/// The link and the accelerator behind it.
pub(super) struct Link<A: Arch + 'static> {
    driver: &'static Driver<A>,
    host: ModelHost,
    /// The context that was started last.
    device: Mutex<Option<DevicePort>>,
    platform: &'static ModelPlatform<A>,
}

impl<A: Arch> Link<A> {
    /// The link with its area known to firmware, and no address space attached.
    pub(super) fn new(
        platform: &'static ModelPlatform<A>,
        options: LinkOptions,
    ) -> Result<Self, Broken> {
        let model = platform.model();
        let port = model.add_link(options);
        let host = ModelHost::new(port.clone());
        let mode = match options.snoops {
            true => Mode::Snooping,
            false => Mode::Atsd(port.clone()),
        };
        let config = match options.believes_its_rights {
            true => Config::power9(),
            false => Config::power10(),
        };
        let barriers = ModelBarriers::new(model.clone());
        let (lock, area) = (IrqTicketLock::new(platform), model.share(AREA, 0x1000));
        let driver = Driver::new(mode, barriers, lock, area, host.clone(), config);
        // One machine for the whole table: attached spaces want a driver that lives for ever.
        let driver: &'static Driver<A> = Box::leak(Box::new(driver.map_err(Broken::set_up)?));
        port.set_process_area(driver.spa().raw(), AREA);
        Ok(Self {
            driver,
            host,
            device: Mutex::new(None),
            platform,
        })
    }

    fn device(&self) -> Option<DevicePort> {
        self.device.lock().ok()?.clone()
    }
}

impl<A: Arch> family::Iommu for Link<A> {
    fn driver(&self) -> &'static dyn SecondaryTlb {
        self.driver
    }

    /// The root is found by the PID.
    fn reserve(&self, _: u64, id: HardwareId) -> Result<AttachKey, Broken> {
        let ours = || Broken::set_up("no PID and no PASID of a link");
        let context = Context {
            pasid: Pasid::new(PASID).ok_or_else(ours)?,
            function: FunctionId(FUNCTION),
            thread: 0,
            amr: 0,
        };
        let process = Process {
            pid: Pid::new(id.0 as u32).ok_or_else(ours)?,
            lpid: 0,
            wide: true,
            tag_checks: false,
        };
        self.driver
            .reserve(&[context], &process)
            .map_err(Broken::set_up)
    }

    fn install(&self, key: AttachKey) -> Result<(), Broken> {
        self.driver.install(key).map_err(Broken::set_up)?;
        let started = self.host.start(FUNCTION, PASID);
        if let Ok(mut device) = self.device.lock() {
            *device = Some(started);
        }
        Ok(())
    }

    fn detach(&self, key: AttachKey) -> Result<(), Broken> {
        self.driver
            .detach(key, &mut patience(self.platform))
            .map_err(Broken::set_up)
    }

    fn read(&self, va: u64) -> Access {
        access(self.device().map(|device| device.read(va)))
    }

    fn write(&self, va: u64, word: u64) -> Access {
        access(
            self.device()
                .map(|device| device.write(va, word).map(|()| word)),
        )
    }
}

fn access(result: Option<Result<u64, DeviceFault>>) -> Access {
    match result {
        Some(Ok(word)) => Access::Done(word),
        Some(Err(DeviceFault::NotPresent)) => Access::Refused(Refusal::Translation),
        Some(Err(DeviceFault::Permission)) => Access::Refused(Refusal::Permission),
        Some(Err(_)) | None => Access::Refused(Refusal::Other),
    }
}
