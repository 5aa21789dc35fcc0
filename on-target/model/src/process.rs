//! A process: its space, and the page table that CPUs and the device share.

use crate::family::{Family, Platform};
use tlb_shootdown::notifier::Attachment;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::space::AddressSpace;
use tlb_shootdown_model::Model;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::memory::{Mapping, Tables};
use tlb_shootdown_scenarios::{Directory, PAGES, Page};

/// Where the pages of the space lie.
pub(crate) const BASE: u64 = 0x4000_0000;

/// Bytes of a page, and of a large one, which maps as much as a table of them.
pub(crate) const SMALL: u64 = 0x1000;
pub(crate) const LARGE: u64 = 0x20_0000;

/// The level above that table.
const DIRECTORY: u8 = 2;

/// Who stores to page tables.
const CPU: usize = 0;

/// A space that CPUs run and a device may share.
pub(crate) struct Process<F: Family> {
    pub(crate) space: AddressSpace<F::Arch, 1>,
    pub(crate) tables: Tables,
    pub(crate) device: Option<(Attachment, AttachKey)>,
    /// The table of the pages, once it was taken out of the tree.
    unhung: Option<u64>,
}

impl<F: Family> Process<F> {
    pub(crate) fn new(engine: &Shootdown<Platform<F>, 1>, model: &Model) -> Self {
        Self {
            space: engine.new_space(),
            tables: F::tables(model),
            device: None,
            unhung: None,
        }
    }

    /// Has a page lead to the frame at `pa`. No TLB is told, here and below.
    pub(crate) fn map(&self, page: Page, pa: u64, rights: Rights) {
        self.tables
            .map(CPU, address(page), Mapping::page(pa, rights));
    }

    /// Has a page lead to nothing.
    pub(crate) fn unmap(&self, page: Page) {
        self.tables.unmap(CPU, address(page));
    }

    /// Takes the table out of the tree, with entries behind the pages that map what a large page at `pa` does.
    pub(crate) fn unhang_table(&mut self, pa: u64) {
        for offset in (u64::from(PAGES) * SMALL..LARGE).step_by(SMALL as usize) {
            let page = Mapping::page(pa + offset, Rights::ReadWrite);
            self.tables.map(CPU, BASE + offset, page);
        }
        self.unhung = self.tables.unhang_table(CPU, BASE);
    }

    /// Stores the entry above the table that was taken out; a large page is that at `pa`.
    pub(crate) fn store_directory(&self, to: Directory, pa: u64) {
        match (to, self.unhung) {
            (Directory::LargePage, _) => {
                let page = Mapping::page(pa, Rights::ReadWrite);
                let level = DIRECTORY;
                self.tables.map(CPU, BASE, Mapping { level, ..page });
            }
            (Directory::Table, Some(table)) => self.tables.rehang_table(CPU, BASE, table),
            (Directory::Table, None) => {}
            (Directory::Empty, _) => {
                self.tables.unmap(CPU, BASE);
            }
        }
    }
}

/// The address of a page.
pub(crate) fn address(page: Page) -> u64 {
    BASE + u64::from(page.0) * SMALL
}
