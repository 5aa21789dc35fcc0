//! How the kernel changes its tables.

use super::kernel::{Kernel, Left};
use super::op::How;
use super::pages::Half;
use super::{Machine, book::Page};
use tlb_shootdown::address::{PhysAddr, VirtAddr};
use tlb_shootdown::flush::Flush;
use tlb_shootdown::shootdown::UpgradeStep;
use tlb_shootdown::ticket::Item;
use tlb_shootdown_model::memory::Mapping;
use tlb_shootdown_model::memory::descriptor::Rights;

fn rights(writable: bool) -> Rights {
    if writable {
        Rights::ReadWrite
    } else {
        Rights::ReadOnly
    }
}

impl<M: Machine> Kernel<M> {
    /// A page that is mapped, or whose unmapping is not flushed, is unmapped and flushed first.
    pub(crate) fn map(&mut self, half: Half, page: u64, writable: bool) {
        self.unmap(half, page);
        if !self.book(half).changed.is_empty() {
            self.flush(half, How::Tight);
        }
        self.flush_pending(half);
        let frame = self.rig.model().allocate(self.layout.size(page).bytes());
        let (tables, va) = (self.tables(half), self.layout.address(half, page));
        tables.map(self.me(), va, self.mapping(half, page, frame, writable));
        self.book(half).pages.insert(page, Page { frame, writable });
        // From not present to present: nothing to flush, only to be made visible.
        self.rig.publish();
        if self.devices.miss_new_pages() {
            self.start_and(half, self.whole(half, page), &[], |_| ());
        }
    }

    fn mapping(&self, half: Half, page: u64, frame: u64, writable: bool) -> Mapping {
        Mapping {
            global: half == Half::Kernel && self.rig.has_global_pages(),
            ..self.layout.mapping(page, frame, rights(writable))
        }
    }

    pub(crate) fn unmap(&mut self, half: Half, page: u64) {
        let layout = self.layout;
        if let Some(old) = self.book(half).pages.remove(&page) {
            self.tables(half)
                .unmap(self.me(), layout.address(half, page));
            let (base, size) = (PhysAddr::new(old.frame), layout.size(page));
            let book = self.book(half);
            book.changed.items.push(Item::Frame { base, size });
            book.upgraded.remove(&page);
            book.changed.pages.insert(page);
        }
    }

    /// Where nothing is mapped there is nothing to flush, unless it is pending.
    pub(super) fn unmap_or_rely(&mut self, half: Half, page: u64) {
        if self.book(half).pages.contains_key(&page) {
            self.unmap(half, page);
        } else {
            self.rely_on(half, page);
        }
    }

    pub(super) fn protect(&mut self, half: Half, page: u64, writable: bool) {
        let known = self.book(half).pages.get(&page).copied();
        match known {
            None => self.rely_on(half, page),
            Some(known) if known.writable && writable => {}
            Some(known) if !known.writable && !writable => self.rely_on(half, page),
            Some(_) if writable && self.breaks_upgrades(half) => {
                if let Half::User(space) = half {
                    self.upgrade(space, page);
                }
            }
            Some(_) => self.protect_in_place(half, page, writable),
        }
    }

    fn protect_in_place(&mut self, half: Half, page: u64, writable: bool) {
        let va = self.layout.address(half, page);
        self.tables(half).protect(self.me(), va, rights(writable));
        let is_deferred = self.is_deferred(half, page);
        let book = self.book(half);
        if let Some(known) = book.pages.get_mut(&page) {
            known.writable = writable;
        }
        // Up and down again within one flush is no upgrade, and the kernel's mappings know none.
        let is_pending = is_deferred || book.changed.pages.contains(&page);
        if writable && !is_pending && half != Half::Kernel {
            book.upgraded.insert(page);
        } else {
            book.upgraded.remove(&page);
            book.changed.pages.insert(page);
        }
    }

    fn breaks_upgrades(&self, half: Half) -> bool {
        let Half::User(space) = half else {
            return false;
        };
        let breaks = self
            .rig
            .engine()
            .breaks_upgrades(self.processes[space].space);
        breaks && self.left != Left::StepsOfUpgrades
    }

    /// Widens rights in the way that everybody who shares the table can bear, at once: with nothing else of the space pending, as a
    /// fault handler does it.
    pub(super) fn upgrade(&mut self, space: usize, page: u64) {
        let half = Half::User(space);
        self.flush(half, How::Tight);
        let Some(known) = self.book(half).pages.get_mut(&page) else {
            return;
        };
        known.writable = true;
        let frame = known.frame;
        if self.left == Left::StepsOfUpgrades {
            let va = self.layout.address(half, page);
            self.tables(half).protect(self.me(), va, Rights::ReadWrite);
            return self.flush_upgrade(half, page);
        }
        let (tables, va, me) = (
            self.tables(half),
            self.layout.address(half, page),
            self.me(),
        );
        let new = self.mapping(half, page, frame, true);
        let store = |step| match step {
            UpgradeStep::Invalidate => {
                tables.unmap(me, va);
            }
            UpgradeStep::Widen => {
                // What had to be flushed before has been.
                self.page_returned(half, page);
                tables.map(me, va, new);
            }
        };
        self.take_counts();
        let flush = self.layout.exactly(half, page);
        let engine = self.rig.engine();
        self.asks_for(half, &flush);
        let cost = self.in_time(|| engine.upgrade(self.processes[space].space, flush, store));
        let cost = cost.unwrap();
        self.compare(&cost);
        self.judge_over_flush(half, &flush, &cost);
        self.rig.publish();
        self.page_returned(half, page);
    }

    /// Unmaps half of the small pages together with the table that they are in.
    pub(super) fn unmap_table(&mut self, half: Half, table: u64) {
        let pages = table * 8..table * 8 + 8;
        let book = self.book(half);
        if !pages.clone().any(|page| book.pages.contains_key(&page)) {
            return;
        }
        for page in pages.clone() {
            self.unmap(half, page);
        }
        let (me, va) = (self.me(), self.layout.address(half, table * 8));
        let unhung = self.tables(half).unhang_table(me, va);
        let unhung = unhung.map(|base| Item::Table {
            base: PhysAddr::new(base),
        });
        let changed = &mut self.book(half).changed;
        changed.items.extend(unhung);
        changed.tables.insert(table);
        changed.pages.extend(pages);
    }

    /// An operation has found that nothing is to be done for this page, and skips its flush.
    fn rely_on(&mut self, half: Half, page: u64) {
        if self.book(half).changed.pages.contains(&page) {
            self.flush(half, How::Tight);
        }
        self.flush_pending(half);
        let (first, last) = self.layout.span(half, page);
        let root = self.tables(half).root();
        self.rig.model().relies_on(root, first, last);
    }

    pub(super) fn page_returned(&self, half: Half, page: u64) {
        let (first, last) = self.layout.span(half, page);
        let root = self.tables(half).root();
        self.rig.model().returned(root, first, last);
    }

    /// One page, as the fault handler names it.
    pub(super) fn at(&self, half: Half, page: u64) -> VirtAddr {
        VirtAddr::new(self.layout.address(half, page))
    }

    pub(super) fn whole(&self, half: Half, page: u64) -> Flush {
        self.layout.exactly(half, page)
    }
}
