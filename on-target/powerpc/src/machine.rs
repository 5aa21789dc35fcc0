//! This kernel as a machine that the scenarios are played on.

use tlb_shootdown::address::VirtAddr;
use tlb_shootdown::arch::powerpc::Isa;
use tlb_shootdown::error::SwitchError;
use tlb_shootdown_scenarios::{
    self as scenarios, Access, Cost, Directory, Flush, Frame, Machine, Mapping, Observer, PAGES,
    Page, Rights, Spaces, Unflushed, Yardstick,
};

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
    /// A shootdown was refused or did not complete.
    Flush(Unflushed<WORDS>),
    /// The machine has no device.
    NoDevice,
}

impl From<Unflushed<WORDS>> for Broken {
    fn from(error: Unflushed<WORDS>) -> Self {
        Self::Flush(error)
    }
}

/// CPU 0 and CPU 1, with one address space at a time.
pub struct Emulated {
    space: Space,
    /// What the CPUs have run before.
    neighbour: Space,
}

impl Emulated {
    /// Starts the CPUs. Called once.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new() -> Result<Self, Broken> {
        platform::bring_up();
        Ok(Self {
            space: ENGINE.new_space(),
            neighbour: ENGINE.new_space(),
        })
    }

    /// Ends the space in use and begins another, which nobody runs yet.
    fn renew_space(&mut self) -> Result<(), Broken> {
        for cpu in [0, OTHER] {
            cpus::run_on(cpu, platform::run_nothing);
        }
        for space in [&self.space, &self.neighbour] {
            platform::retire(space).map_err(Unflushed::from)?;
        }
        TABLE.clear();
        self.space = ENGINE.new_space();
        self.neighbour = ENGINE.new_space();
        Ok(())
    }

    fn run_on(&self, cpu: usize) -> Result<(), Broken> {
        switch(cpu, &self.neighbour)?;
        switch(cpu, &self.space)
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
        match ENGINE.arch().isa() {
            Isa::V3_0 => &Yardstick::POWER9_QEMU,
            Isa::V3_1 | Isa::V3_2 => &Yardstick::POWER10_QEMU,
        }
    }

    fn reset(&mut self, observer: Observer) -> Result<(), Broken> {
        self.renew_space()?;
        self.run_on(0)?;
        match observer {
            Observer::ThisCpu => Ok(()),
            Observer::OtherCpu => self.run_on(OTHER),
            Observer::Device => Err(Broken::NoDevice),
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
        Ok(())
    }

    fn set_directory(&mut self, to: Directory) -> Result<(), Broken> {
        if to == Directory::LargePage {
            for page in PAGES.into()..memory::FRAMES {
                TABLE.set(page, Some((memory::phys(page), true)));
            }
        }
        TABLE.set_directory(to);
        Ok(())
    }

    fn read(&mut self, observer: Observer, page: Page) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        on(observer, || probe::read(address))
    }

    fn write(&mut self, observer: Observer, page: Page, word: u64) -> Result<Access, Broken> {
        let address = process::address(page.0.into());
        on(observer, || probe::write(address, word))
    }

    fn flush(&mut self, flush: Flush) -> Result<Cost, Broken> {
        Ok(scenarios::flush(&ENGINE, &self.spaces(), flush)?)
    }

    fn split(&mut self, observer: Observer, page: Page) -> Result<(Access, Cost), Broken> {
        let store = |to| TABLE.set_directory(to);
        let address = process::address(page.0.into());
        let look = || on(observer, || probe::read(address));
        scenarios::split(&ENGINE, &self.spaces(), store, look)
    }
}

/// Has the observer make an access.
fn on(observer: Observer, access: impl FnOnce() -> Access + Send) -> Result<Access, Broken> {
    match observer {
        Observer::ThisCpu => Ok(access()),
        Observer::OtherCpu => Ok(cpus::run_on(OTHER, access)),
        Observer::Device => Err(Broken::NoDevice),
    }
}

fn switch(cpu: usize, space: &Space) -> Result<(), Broken> {
    // SAFETY: a static tree, from which CPUs are taken before it is used anew.
    cpus::run_on(cpu, || unsafe { platform::run_space(space, TABLE.root()) })
        .map_err(Broken::Switch)
}
