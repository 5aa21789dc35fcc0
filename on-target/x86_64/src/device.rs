//! The devices that share a process's mappings, behind the machine's IOMMU.

use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::secondary::{AttachKey, SecondaryTlb};
use tlb_shootdown_on_target_devices::{Edu, TestDevice};
use tlb_shootdown_scenarios::{Access, Directory, Refusal, Yardstick};

use crate::broken::Broken;
use crate::fault::Fault;
use crate::iommu::Iommu;
use crate::platform::{ENGINE, Space};
use crate::process::{self, PageTable};
use crate::{clock, memory, pci};

/// The page through which what the device has read comes back: mapped in every space the device is attached to, to the
/// frame that no case uses. Its number is that frame's, so that a large page maps it there as well.
pub const WINDOW: usize = memory::SPARE;

/// Bytes of one access.
const WORD: u64 = 8;

/// What the device holds before it reads; no case uses the word.
const NOTHING: u64 = 0xbad;

/// The devices and their IOMMU.
pub struct Devices {
    edu: Edu,
    /// From QEMU 11 on.
    pub testdev: Option<TestDevice>,
    iommu: Iommu,
    attached: Option<(AttachKey, Attachment)>,
}

impl Devices {
    /// Finds the devices and brings the IOMMU up, with every access refused; `None` where the machine has no IOMMU. Called
    /// once.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn find() -> Result<Option<Self>, Broken> {
        let edu = pci::find(Edu::IDS).ok_or(Broken::NoDevice)?;
        let edu = Edu::new(edu, clock::wait_until);
        let testdev = pci::find(TestDevice::IDS).map(TestDevice::new);
        let requesters = [
            Some(edu.requester),
            testdev.as_ref().map(|device| device.requester),
        ];
        let iommu = Iommu::find(requesters.into_iter().flatten())?;
        Ok(iommu.map(|iommu| Self {
            edu,
            testdev,
            iommu,
            attached: None,
        }))
    }

    /// What holds of a machine with this IOMMU.
    pub fn yardstick(&self) -> &'static Yardstick {
        self.iommu.yardstick()
    }

    /// Lets the devices use `space`, whose page table is `table`: first the engine tells them of every flush, then they walk.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn attach(&mut self, space: &Space, table: &PageTable) -> Result<(), Broken> {
        self.announce(space, table)?;
        self.walk()
    }

    /// The first half of [`Self::attach`]: every flush of `space` tells the IOMMU from here on.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn announce(&mut self, space: &Space, table: &PageTable) -> Result<(), Broken> {
        let window = Some((memory::phys(memory::SPARE), true));
        table.set(WINDOW, window);
        self.mirror(WINDOW, window);
        let key = match &self.testdev {
            Some(testdev) => {
                let both = [self.edu.requester, testdev.requester];
                self.iommu.reserve(&both, table)?
            }
            None => self.iommu.reserve(&[self.edu.requester], table)?,
        };
        let attachment = ENGINE.attach(space, self.iommu.tlb(), key)?;
        self.attached = Some((key, attachment));
        Ok(())
    }

    /// The second half of [`Self::attach`]: the devices may walk the table.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn walk(&self) -> Result<(), Broken> {
        match self.attached {
            Some((key, _)) => self.iommu.install(key),
            None => Ok(()),
        }
    }

    /// The driver, and the key of the mappings that the devices share.
    pub fn attached(&self) -> Option<(&'static dyn SecondaryTlb, AttachKey)> {
        let (key, _) = self.attached.as_ref()?;
        Some((self.iommu.tlb(), *key))
    }

    /// Takes the devices off `space`, if they are attached.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn detach(&mut self, space: &Space) -> Result<(), Broken> {
        if let Some((key, attachment)) = self.attached.take() {
            ENGINE.detach(space, attachment)?;
            self.iommu.detach(key)?;
        }
        Ok(())
    }

    /// Does to the devices' own table, where they do not walk the process's, what was done to the process's. No TLB is told.
    pub fn mirror(&self, page: usize, entry: Option<(u64, bool)>) {
        self.iommu.mirror(page, entry);
    }

    /// The same for the entry above the pages.
    pub fn mirror_directory(&self, to: Directory) {
        self.iommu.mirror_directory(to);
    }

    /// The same for a table that was cleared.
    pub fn clear(&self) {
        self.iommu.clear_mirror();
    }

    /// Has the device read the word at `address`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(&self, address: u64) -> Result<Access, Broken> {
        self.load(NOTHING)?;
        self.edu.fetch(address, WORD)?;
        if let Some(refusal) = self.refusal(address)? {
            return Ok(Access::Refused(refusal));
        }
        let window = process::address(WINDOW);
        self.edu.store(window, WORD)?;
        match self.refusal(window)? {
            Some(refusal) => Err(Broken::Window(refusal)),
            None => Ok(match memory::word(memory::SPARE) {
                // QEMU reads zeros where nobody answers.
                0 | NOTHING => Access::Refused(Refusal::Unreported),
                word => Access::Done(word),
            }),
        }
    }

    /// Has the device write `word` at `address`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn write(&self, address: u64, word: u64) -> Result<Access, Broken> {
        self.load(word)?;
        Ok(match self.store_again(address)? {
            Some(refusal) => Access::Refused(refusal),
            None if memory::holds(word) => Access::Done(word),
            None => Access::Refused(Refusal::Unreported),
        })
    }

    /// Has the device write the word that it accessed last at `address`; `None` where nothing was reported.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn store_again(&self, address: u64) -> Result<Option<Refusal>, Broken> {
        self.edu.store(address, WORD)?;
        self.refusal(address)
    }

    /// The oldest fault that the IOMMU has recorded.
    pub fn next_fault(&self) -> Option<Fault> {
        self.iommu.next_fault()
    }

    /// Has the device hold `word`.
    fn load(&self, word: u64) -> Result<(), Broken> {
        memory::fill(memory::SPARE, word);
        let window = process::address(WINDOW);
        self.edu.fetch(window, WORD)?;
        match self.refusal(window)? {
            Some(refusal) => Err(Broken::Window(refusal)),
            None => Ok(()),
        }
    }

    /// What the IOMMU has recorded of the access to `address` that has just ended: one fault or, as QEMU splits an access that
    /// is refused, several.
    fn refusal(&self, address: u64) -> Result<Option<Refusal>, Broken> {
        let mut refusal = None;
        while let Some(fault) = self.iommu.next_fault() {
            let page = |address| address / process::PAGE_SIZE;
            let ours = fault
                .address
                .is_none_or(|recorded| page(recorded) == page(address));
            if fault.requester != self.edu.requester || !ours {
                return Err(Broken::Unexpected(fault));
            }
            refusal = Some(fault.refusal);
        }
        Ok(refusal)
    }
}
