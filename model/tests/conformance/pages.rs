//! Test pages of one half, used by the current CPU.

use crate::defective::Defective;
use tlb_shootdown::address::{PageSize, VirtAddr};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::conformance::{Agent, Entry, Frame, Window};
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_model::platform::ModelPlatform;

const USER: u64 = 0x40_0000;
const KERNEL: u64 = 0xffff_8000_0000_0000;

pub(crate) struct Pages {
    pub(crate) model: Model,
    pub(crate) platform: ModelPlatform<Defective>,
    pub(crate) tables: Tables,
    base: u64,
    frames: [u64; 2],
}

impl Pages {
    /// Pages of a process and of the kernel, in tables of their own.
    pub(crate) fn both(model: &Model, platform: &ModelPlatform<Defective>) -> [Self; 2] {
        let frames = [Frame::First, Frame::Second].map(|frame| {
            let pa = model.allocate(0x1000);
            model.poke(pa, frame.word());
            pa
        });
        [USER, KERNEL].map(|base| Self {
            model: model.clone(),
            platform: platform.clone(),
            tables: model.tables(),
            base,
            frames,
        })
    }

    fn cpu(&self) -> usize {
        self.platform.cpu().index()
    }
}

impl Agent for Pages {
    fn read(&self, page: usize) -> Option<u64> {
        let at = self.address(page).raw();
        self.model.cpu(self.cpu()).read(at).ok()
    }

    fn write(&self, page: usize) -> bool {
        let at = self.address(page).raw() + 8;
        self.model.cpu(self.cpu()).write(at, 1).is_ok()
    }
}

impl Window for Pages {
    fn page_size(&self) -> PageSize {
        PageSize::KIB_4
    }

    fn address(&self, page: usize) -> VirtAddr {
        VirtAddr::new(self.base + page as u64 * 0x1000)
    }

    fn store(&self, page: usize, entry: Entry) {
        let at = self.address(page).raw();
        let (frame, rights) = match entry {
            Entry::Nothing => {
                self.tables.unmap(self.cpu(), at);
                return;
            }
            Entry::ReadOnly(frame) => (frame, Rights::ReadOnly),
            Entry::ReadWrite(frame) => (frame, Rights::ReadWrite),
        };
        let mapping = Mapping::page(self.frames[frame as usize], rights);
        self.tables.map(self.cpu(), at, mapping);
    }

    /// What is put back is made anew, by the stores that follow.
    fn hang_table(&self, hung: bool) -> bool {
        if !hung {
            self.tables.unhang_table(self.cpu(), self.base);
        }
        true
    }
}
