//! Stores to page tables, each made by this CPU in every tree. None flushes anything.

use super::format::Format;
use super::kernel::{KERNEL, Kernel};
use super::machine::Machine;
use super::page::Page;
use tlb_shootdown::address::PageSize;
use tlb_shootdown_model::memory::Tables;
use tlb_shootdown_model::memory::descriptor::Rights;

impl<M: Machine> Kernel<M> {
    /// Maps so many pages side by side, each with a word of its own in it.
    pub(crate) fn map_new(
        &mut self,
        owner: usize,
        va: u64,
        count: u64,
        size: PageSize,
        rights: Rights,
    ) -> Vec<Page> {
        let new = |n| self.new_page(va + n * size.bytes(), size);
        let pages: Vec<Page> = (0..count).map(new).collect();
        self.map_all(owner, &pages, rights);
        pages
    }

    /// A frame for this address, with a word in it.
    pub(crate) fn new_page(&self, va: u64, size: PageSize) -> Page {
        let frame = self.model.allocate(size.bytes());
        self.model.poke(frame, frame);
        let word = frame;
        Page {
            va,
            size,
            frame,
            word,
        }
    }

    /// Stores an entry where there was none, and makes it visible: nothing that becomes valid has to be flushed.
    pub(crate) fn map(&mut self, owner: usize, page: &Page, rights: Rights) {
        self.map_all(owner, core::slice::from_ref(page), rights);
    }

    pub(crate) fn map_all(&mut self, owner: usize, pages: &[Page], rights: Rights) {
        pages
            .iter()
            .for_each(|page| self.store(owner, page, rights));
        self.publish();
    }

    fn store(&mut self, owner: usize, page: &Page, rights: Rights) {
        let mapping = page.mapping(rights, owner == KERNEL);
        self.edit(owner, page, |tree, format| {
            tree.map(0, page.va, mapping);
            let raw = tree.descriptor(page.va);
            let data = format.data(raw, rights);
            if data != raw {
                tree.set_descriptor(0, page.va, data);
            }
        });
    }

    pub(crate) fn unmap(&mut self, owner: usize, page: &Page) {
        self.edit(owner, page, |tree, _| {
            assert_eq!(tree.unmap(0, page.va), Some(page.frame));
        });
    }

    pub(crate) fn protect(&mut self, owner: usize, page: &Page, rights: Rights) {
        self.edit(owner, page, |tree, _| tree.protect(0, page.va, rights));
    }

    /// Clears the accessed flag.
    pub(crate) fn clear_accessed(&mut self, owner: usize, page: &Page) {
        self.edit(owner, page, |tree, format| {
            let raw = format.not_accessed(tree.descriptor(page.va));
            tree.set_descriptor(0, page.va, raw);
        });
    }

    /// Takes the lowest table on the way to this address out of each tree.
    pub(crate) fn unhang(&mut self, owner: usize, va: u64) -> Vec<u64> {
        self.owes_a_flush();
        let trees = self.trees(owner).iter();
        trees
            .map(|tree| tree.unhang_table(0, va).unwrap())
            .collect()
    }

    /// Hangs each tree's table under its entry of this level, visibly.
    pub(crate) fn hang(&mut self, owner: usize, va: u64, level: u8, tables: &[u64]) {
        for (tree, table) in self.trees(owner).iter().zip(tables) {
            tree.hang_table(0, va, level, *table);
        }
        self.publish();
    }

    /// The table of each tree to which the entry for this address at this level leads.
    pub(crate) fn tables_at(&self, owner: usize, va: u64, level: u8) -> Vec<u64> {
        let trees = self.trees(owner).iter();
        trees
            .map(|tree| tree.table_at(va, level).unwrap())
            .collect()
    }

    /// Everything that translates these pages in each tree, its root included.
    pub(crate) fn every_table(&self, owner: usize, pages: &[Page]) -> Vec<u64> {
        let of_tree = |tree: &Tables| {
            let below = pages.iter().flat_map(|page| {
                let levels = (0..3).map(|level| tree.table_at(page.va, level));
                levels.collect::<Vec<_>>()
            });
            let mut all: Vec<u64> = below.flatten().chain([tree.root()]).collect();
            all.sort_unstable();
            all.dedup();
            all
        };
        self.trees(owner).iter().flat_map(of_tree).collect()
    }

    /// Makes every store visible to every walker.
    pub(crate) fn publish(&mut self) {
        self.meter.take(&self.model);
        M::publish(&self.model);
        // The test's own barrier is nobody's cost.
        self.model.take_counts();
    }

    fn edit(&mut self, owner: usize, page: &Page, store: impl Fn(&Tables, Format)) {
        let trees = self.trees(owner);
        let old = trees[0].descriptor(page.va);
        for (tree, format) in trees.iter().zip(self.formats()) {
            store(tree, format);
        }
        let new = trees[0].descriptor(page.va);
        self.owes = self.owes.max(M::needed(old, new, page.level()));
    }
}
