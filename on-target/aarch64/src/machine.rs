//! This kernel as a machine that the scenarios are played on.

use tlb_shootdown::address::VirtAddr;
use tlb_shootdown::error::{Refused, SwitchError};
use tlb_shootdown_scenarios::{
    self as scenarios, Access, Cost, Directory, Flush, Frame, Machine, Mapping, Observer, PAGES,
    Page, Rights, Spaces, Unflushed, Yardstick,
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
    /// A shootdown was refused or did not complete.
    Flush(Unflushed<WORDS>),
    /// The device or its IOMMU does not work.
    Device(broken::Broken),
}

impl From<Unflushed<WORDS>> for Broken {
    fn from(error: Unflushed<WORDS>) -> Self {
        Self::Flush(error)
    }
}

/// CPU 0, CPU 1 and the device, with one address space at a time.
pub struct Emulated {
    devices: Devices,
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
            devices: Devices::new().map_err(Broken::Device)?,
            space: ENGINE.new_space(),
            neighbour: ENGINE.new_space(),
        })
    }

    /// The address space in use, for what the scenarios do not do with it.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The devices.
    pub fn devices(&self) -> &Devices {
        &self.devices
    }

    /// Stores the entry of a page and tells no TLB.
    pub fn map(&self, page: usize, entry: Option<(u64, bool)>) {
        TABLE.set(page, entry);
    }

    /// Ends the space in use and begins another, which nobody runs yet.
    fn renew_space(&mut self) -> Result<(), Broken> {
        self.detach()?;
        for cpu in [0, OTHER] {
            cpus::run_on(cpu, process::install_empty);
        }
        for space in [&self.space, &self.neighbour] {
            let retired = ENGINE.retire(space).map_err(Broken::Refused)?;
            retired
                .wait()
                .map_err(|unfinished| Broken::Flush(unfinished.error.into()))?;
        }
        TABLE.clear();
        self.space = ENGINE.new_space();
        self.neighbour = ENGINE.new_space();
        Ok(())
    }

    /// Has every flush of the space tell the SMMU, and no device walk its table yet.
    ///
    /// # Errors
    /// [`Broken::Device`].
    pub fn announce(&mut self) -> Result<(), Broken> {
        self.devices
            .announce(&self.space, &TABLE)
            .map_err(Broken::Device)
    }

    /// Takes the devices off the space.
    ///
    /// # Errors
    /// [`Broken::Device`].
    pub fn detach(&mut self) -> Result<(), Broken> {
        self.devices.detach(&self.space).map_err(Broken::Device)
    }

    /// Lets `cpu` run the space, behind its neighbour.
    ///
    /// # Errors
    /// [`Broken::Switch`].
    pub fn run_on(&self, cpu: usize) -> Result<(), Broken> {
        switch(cpu, &self.neighbour)?;
        switch(cpu, &self.space)
    }

    /// Lets the observer access a page while no other is mapped. A device repeats its last access as a write, as what it reads would come
    /// back through a page.
    fn look(&self, observer: Observer, page: Page) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        match observer {
            Observer::ThisCpu => Ok(probe::read(address)),
            Observer::OtherCpu => Ok(cpus::run_on(OTHER, || probe::read(address))),
            Observer::Device => {
                let refusal = self.devices.store_again(address);
                let refusal = refusal.map_err(Broken::Device)?;
                Ok(refusal.map_or(Access::Done(self.word(Frame(page.0))), Access::Refused))
            }
        }
    }

    /// As the engine is asked for it.
    fn spaces(&self) -> Spaces<'_, platform::Arch, WORDS> {
        Spaces {
            tested: &self.space,
            neighbour: &self.neighbour,
            base: VirtAddr::new(process::BASE),
        }
    }
}

impl Machine for Emulated {
    type Error = Broken;

    fn yardstick(&self) -> &'static Yardstick {
        &Yardstick::AARCH64_SMMUV3_QEMU
    }

    fn reset(&mut self, observer: Observer) -> Result<(), Broken> {
        self.renew_space()?;
        self.run_on(0)?;
        match observer {
            Observer::ThisCpu => Ok(()),
            Observer::OtherCpu => self.run_on(OTHER),
            Observer::Device => self
                .devices
                .attach(&self.space, &TABLE)
                .map_err(Broken::Device),
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
        self.map(page.0.into(), entry);
        Ok(())
    }

    fn set_directory(&mut self, to: Directory) -> Result<(), Broken> {
        if to == Directory::LargePage {
            for page in PAGES.into()..memory::FRAMES {
                self.map(page, Some((memory::phys(page), true)));
            }
        }
        TABLE.set_directory(to);
        Ok(())
    }

    fn read(&mut self, observer: Observer, page: Page) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        match observer {
            Observer::ThisCpu => Ok(probe::read(address)),
            Observer::OtherCpu => Ok(cpus::run_on(OTHER, || probe::read(address))),
            Observer::Device => self.devices.read(address).map_err(Broken::Device),
        }
    }

    fn write(&mut self, observer: Observer, page: Page, word: u64) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        match observer {
            Observer::ThisCpu => Ok(probe::write(address, word)),
            Observer::OtherCpu => Ok(cpus::run_on(OTHER, || probe::write(address, word))),
            Observer::Device => self.devices.write(address, word).map_err(Broken::Device),
        }
    }

    fn flush(&mut self, flush: Flush) -> Result<Cost, Broken> {
        Ok(scenarios::flush(&ENGINE, &self.spaces(), flush)?)
    }

    fn split(&mut self, observer: Observer, page: Page) -> Result<(Access, Cost), Broken> {
        let store = |to| TABLE.set_directory(to);
        let look = || self.look(observer, page);
        scenarios::split(&ENGINE, &self.spaces(), store, look)
    }
}

fn switch(cpu: usize, space: &Space) -> Result<(), Broken> {
    // SAFETY: a static table, from which CPUs are taken before it is used anew.
    cpus::run_on(cpu, || unsafe { platform::run_space(space, TABLE.root()) })
        .map_err(Broken::Switch)
}
