//! The devices that share a process's page table, behind the SMMU.

use tlb_shootdown::iommu::smmuv3::{Context, Event, StreamId};
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_on_target_devices::{Edu, TestDevice};
use tlb_shootdown_scenarios::{Access, Refusal};

use crate::broken::Broken;
use crate::platform::{ENGINE, Space};
use crate::process::{self, PageTable};
use crate::smmu::{self, Smmu};
use crate::{clock, memory, pci};

/// The page through which what the device has read comes back: mapped in every space the device is attached to, to the
/// frame that no case uses. Its number is that frame's, so that a large page maps it there as well.
pub const WINDOW: usize = memory::SPARE;

/// Bytes of one access.
const WORD: u64 = 8;

/// The devices and their SMMU.
#[derive(Debug)]
pub struct Devices {
    edu: Edu,
    /// From QEMU 11 on.
    pub testdev: Option<TestDevice>,
    smmu: &'static Smmu,
    attached: Option<(AttachKey, Attachment)>,
}

impl Devices {
    /// Finds the devices and brings the SMMU up, with every access refused. Called once.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn new() -> Result<Self, Broken> {
        let edu = pci::find(Edu::IDS).ok_or(Broken::NoDevice)?;
        let edu = Edu::new(edu, clock::wait_until);
        let testdev = pci::find(TestDevice::IDS).map(TestDevice::new);
        let requesters = [
            Some(edu.requester),
            testdev.as_ref().map(|device| device.requester),
        ];
        let smmu = smmu::bring_up(requesters.into_iter().flatten())?;
        Ok(Self {
            edu,
            testdev,
            smmu,
            attached: None,
        })
    }

    /// Lets the devices use `space`, whose page table is `table`: first the engine tells them of every flush, then they walk.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn attach(&mut self, space: &Space, table: &PageTable) -> Result<(), Broken> {
        self.announce(space, table)?;
        self.walk()
    }

    /// The first half of [`Self::attach`]: every flush of `space` tells the SMMU from here on.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn announce(&mut self, space: &Space, table: &PageTable) -> Result<(), Broken> {
        table.set(WINDOW, Some((memory::phys(memory::SPARE), true)));
        let context = |requester| Context {
            stream: StreamId(requester),
            substream: None,
        };
        let edu = context(self.edu.requester);
        let key = match &self.testdev {
            Some(testdev) => smmu::reserve(self.smmu, &[edu, context(testdev.requester)], table)?,
            None => smmu::reserve(self.smmu, &[edu], table)?,
        };
        self.attached = Some((key, ENGINE.attach(space, self.smmu, key)?));
        Ok(())
    }

    /// The second half of [`Self::attach`]: the devices may walk the table.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn walk(&self) -> Result<(), Broken> {
        if let Some((key, _)) = self.attached {
            self.smmu.install(key, &mut smmu::patience())?;
        }
        Ok(())
    }

    /// The driver, and the key of the space that the devices share.
    pub fn attached(&self) -> Option<(&'static Smmu, AttachKey)> {
        let (key, _) = self.attached.as_ref()?;
        Some((self.smmu, *key))
    }

    /// Takes the devices off `space`, if they are attached.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn detach(&mut self, space: &Space) -> Result<(), Broken> {
        if let Some((key, attachment)) = self.attached.take() {
            ENGINE.detach(space, attachment)?;
            self.smmu.detach(key, &mut smmu::patience())?;
        }
        Ok(())
    }

    /// Has the device read the word at `address`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn read(&self, address: u64) -> Result<Access, Broken> {
        self.edu.fetch(address, WORD)?;
        if let Some(refusal) = self.refusal(address)? {
            return Ok(Access::Refused(refusal));
        }
        let window = process::address(WINDOW);
        self.edu.store(window, WORD)?;
        match self.refusal(window)? {
            Some(refusal) => Err(Broken::Window(refusal)),
            None => Ok(Access::Done(memory::word(memory::SPARE))),
        }
    }

    /// Has the device write `word` at `address`.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn write(&self, address: u64, word: u64) -> Result<Access, Broken> {
        memory::fill(memory::SPARE, word);
        let window = process::address(WINDOW);
        self.edu.fetch(window, WORD)?;
        if let Some(refusal) = self.refusal(window)? {
            return Err(Broken::Window(refusal));
        }
        self.store_again(address)
            .map(|refusal| refusal.map_or(Access::Done(word), Access::Refused))
    }

    /// Has the device write the word that it accessed last at `address`; `None` where nothing was reported.
    ///
    /// # Errors
    /// [`Broken`].
    pub fn store_again(&self, address: u64) -> Result<Option<Refusal>, Broken> {
        self.edu.store(address, WORD)?;
        self.refusal(address)
    }

    /// The oldest fault that the SMMU has recorded.
    pub fn next_event(&self) -> Option<Event> {
        self.smmu.next_event()
    }

    /// What the SMMU has recorded of the access to `address` that has just ended: one event or, as QEMU splits an access that
    /// is refused, several.
    fn refusal(&self, address: u64) -> Result<Option<Refusal>, Broken> {
        let mut refusal = None;
        while let Some(event) = self.smmu.next_event() {
            refusal = Some(match event.kind() {
                Event::TRANSLATION => Refusal::Translation,
                Event::PERMISSION => Refusal::Permission,
                _ => Refusal::Other,
            });
            // Errors of the configuration, among the others, carry no address.
            let ours = (address..address + WORD).contains(&event.address().raw())
                || refusal == Some(Refusal::Other);
            if event.stream().0 != self.edu.requester || !ours {
                return Err(Broken::Unexpected(event));
            }
        }
        Ok(refusal)
    }
}
