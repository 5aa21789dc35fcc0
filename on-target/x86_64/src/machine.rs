//! This kernel as a machine that the scenarios are played on.

use tlb_shootdown::address::{PageRange, PageSize, VirtAddr};
use tlb_shootdown::batch::{AddError, GatherError};
use tlb_shootdown::error::{FlushError, Refused, SwitchError};
use tlb_shootdown::flush;
use tlb_shootdown_scenarios::{
    Access, Cost, Flush, Frame, Machine, Mapping, Observer, Page, Rights, Yardstick, gather,
    reclaim,
};

use crate::broken;
use crate::device::Devices;
use crate::platform::{self, ENGINE, Space, WORDS};
use crate::process::{self, PageTable};
use crate::{cpus, memory, probe};

/// The other CPU that looks.
pub const OTHER: usize = 1;

static TABLE: PageTable = PageTable::new();

/// Why this machine failed.
#[derive(Clone, Copy, Debug)]
pub enum Broken {
    /// The crate could not let a CPU run the space.
    Switch(SwitchError),
    /// The crate refused a shootdown.
    Refused(Refused),
    /// A shootdown did not complete.
    Flush(FlushError<WORDS>),
    /// A gather did not complete.
    Gather(GatherError<WORDS>),
    /// A batch did not complete.
    Batch(AddError<WORDS>),
    /// The device or its IOMMU does not work.
    Device(broken::Broken),
}

/// CPU 0, CPU 1 and, where the machine has an IOMMU, the device behind it, with one address space at a time.
pub struct Emulated {
    devices: Option<Devices>,
    space: Space,
    /// What the CPUs have run before.
    neighbour: Space,
}

impl Emulated {
    /// Starts the CPUs and sets the device and its IOMMU up. Called once.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new() -> Result<Self, Broken> {
        platform::bring_up();
        Ok(Self {
            devices: Devices::find().map_err(Broken::Device)?,
            space: ENGINE.new_space(),
            neighbour: ENGINE.new_space(),
        })
    }

    /// The address space in use, for what the scenarios do not do with it.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The devices.
    ///
    /// # Errors
    /// [`broken::Broken::NoIommu`].
    pub fn devices(&self) -> Result<&Devices, Broken> {
        self.devices
            .as_ref()
            .ok_or(Broken::Device(broken::Broken::NoIommu))
    }

    /// Ends the space in use and begins another, which nobody runs yet.
    fn renew_space(&mut self) -> Result<(), Broken> {
        self.detach()?;
        for cpu in [0, OTHER] {
            cpus::run_on(cpu, platform::run_nothing);
        }
        for space in [&self.space, &self.neighbour] {
            let retired = ENGINE.retire(space).map_err(Broken::Refused)?;
            retired
                .wait()
                .map_err(|unfinished| Broken::Flush(FlushError::Incomplete(unfinished.error)))?;
        }
        TABLE.clear();
        if let Some(devices) = &self.devices {
            devices.clear();
        }
        self.space = ENGINE.new_space();
        self.neighbour = ENGINE.new_space();
        Ok(())
    }

    /// Has every flush of the space tell the IOMMU, and no device walk its table yet.
    ///
    /// # Errors
    /// [`Broken::Device`].
    pub fn announce(&mut self) -> Result<(), Broken> {
        self.with_devices(|devices, space| devices.announce(space, &TABLE))
    }

    /// Takes the devices off the space.
    ///
    /// # Errors
    /// [`Broken::Device`].
    pub fn detach(&mut self) -> Result<(), Broken> {
        match self.devices {
            Some(_) => self.with_devices(Devices::detach),
            None => Ok(()),
        }
    }

    fn with_devices<R>(
        &mut self,
        work: impl FnOnce(&mut Devices, &Space) -> Result<R, broken::Broken>,
    ) -> Result<R, Broken> {
        let devices = self.devices.as_mut().ok_or(broken::Broken::NoIommu);
        devices
            .and_then(|devices| work(devices, &self.space))
            .map_err(Broken::Device)
    }

    /// Lets `cpu` run the space, behind its neighbour.
    ///
    /// # Errors
    /// [`Broken::Switch`].
    pub fn run_on(&self, cpu: usize) -> Result<(), Broken> {
        switch(cpu, &self.neighbour)?;
        switch(cpu, &self.space)
    }
}

impl Machine for Emulated {
    type Error = Broken;

    fn yardstick(&self) -> &'static Yardstick {
        match &self.devices {
            Some(devices) => devices.yardstick(),
            None => &Yardstick::X86_64_QEMU,
        }
    }

    fn reset(&mut self, observer: Observer) -> Result<(), Broken> {
        self.renew_space()?;
        self.run_on(0)?;
        match observer {
            Observer::ThisCpu => Ok(()),
            Observer::OtherCpu => self.run_on(OTHER),
            Observer::Device => self.with_devices(|devices, space| devices.attach(space, &TABLE)),
        }
    }

    fn fill(&mut self, frame: Frame, word: u64) {
        memory::fill(frame.0.into(), word);
    }

    fn word(&self, frame: Frame) -> u64 {
        memory::word(frame.0.into())
    }

    fn change(&mut self, page: Page, mapping: Option<Mapping>) -> Result<(), Broken> {
        let entry = mapping.map(|to| {
            (
                memory::phys(to.frame.0.into()),
                to.rights == Rights::ReadWrite,
            )
        });
        TABLE.set(page.0.into(), entry);
        if let Some(devices) = &self.devices {
            devices.mirror(page.0.into(), entry);
        }
        Ok(())
    }

    fn read(&mut self, observer: Observer, page: Page) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        match observer {
            Observer::ThisCpu => Ok(probe::read(address)),
            Observer::OtherCpu => Ok(cpus::run_on(OTHER, || probe::read(address))),
            Observer::Device => self.devices()?.read(address).map_err(Broken::Device),
        }
    }

    fn write(&mut self, observer: Observer, page: Page, word: u64) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        match observer {
            Observer::ThisCpu => Ok(probe::write(address, word)),
            Observer::OtherCpu => Ok(cpus::run_on(OTHER, || probe::write(address, word))),
            Observer::Device => self.devices()?.write(address, word).map_err(Broken::Device),
        }
    }

    fn flush(&mut self, flush: Flush) -> Result<Cost, Broken> {
        let space = &self.space;
        let cost = match flush {
            Flush::Upgrade(page) => {
                ENGINE.flush_upgrade(space, flush::Flush::page(virt(page), PageSize::KIB_4))
            }
            Flush::Page(page) => ENGINE.flush_page(space, virt(page), PageSize::KIB_4),
            Flush::Range { first, count } => {
                ENGINE.flush(space, flush::Flush::pages(pages(first, count)).leaf_only())
            }
            Flush::Space => ENGINE.flush_space(space),
            Flush::Gather(gathered) => {
                let pages = gathered.iter().copied().map(virt);
                return gather(&ENGINE, space, pages).map_err(Broken::Gather);
            }
            Flush::Reclaim(taken) => {
                let pages = taken.iter().copied().map(virt);
                return reclaim(&ENGINE, [space, &self.neighbour], pages).map_err(Broken::Batch);
            }
        };
        cost.map(Cost::from).map_err(Broken::Flush)
    }
}

fn switch(cpu: usize, space: &Space) -> Result<(), Broken> {
    // SAFETY: a static table, from which CPUs are taken before it is used anew.
    cpus::run_on(cpu, || unsafe { platform::run_space(space, TABLE.root()) })
        .map_err(Broken::Switch)
}

fn virt(page: Page) -> VirtAddr {
    VirtAddr::new(process::address(page.0.into()))
}

fn pages(first: Page, count: u8) -> PageRange {
    let last = VirtAddr::new(virt(first).raw() + u64::from(count) * process::PAGE_SIZE - 1);
    PageRange::inclusive(virt(first), last, PageSize::KIB_4)
        .expect("a range that ends behind its beginning")
}
