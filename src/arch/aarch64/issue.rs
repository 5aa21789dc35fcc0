//! From an invalidation to the TLBI instructions that it is made of.

use super::granule::{Granule, Level};
use super::instructions::Instructions;
use super::operation::Operation;
use super::{Aarch64, operand, range};
use crate::address::{PageRange, PageSize};
use crate::arch::{Entries, Half, HardwareId, Reach};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::flush::Depth;

/// What distinguishes the instructions that take an address: under one ASID or all, with walk caches or without, on this CPU or
/// everywhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub(super) half: Half,
    pub(super) depth: Depth,
    pub(super) reach: Reach,
}

impl Form {
    fn by_address(self, on: &impl Instructions, operand: u64) {
        match (self.half, self.depth, self.reach) {
            (Half::User, Depth::Leaf, Reach::Broadcast) => on.tlbi_vale1is(operand),
            (Half::User, Depth::Leaf, Reach::Local) => on.tlbi_vale1(operand),
            (Half::User, Depth::Tables, Reach::Broadcast) => on.tlbi_vae1is(operand),
            (Half::User, Depth::Tables, Reach::Local) => on.tlbi_vae1(operand),
            (Half::Kernel, Depth::Leaf, Reach::Broadcast) => on.tlbi_vaale1is(operand),
            (Half::Kernel, Depth::Leaf, Reach::Local) => on.tlbi_vaale1(operand),
            (Half::Kernel, Depth::Tables, Reach::Broadcast) => on.tlbi_vaae1is(operand),
            (Half::Kernel, Depth::Tables, Reach::Local) => on.tlbi_vaae1(operand),
        }
    }

    fn by_range(self, on: &impl Instructions, operand: u64) {
        match (self.half, self.depth, self.reach) {
            (Half::User, Depth::Leaf, Reach::Broadcast) => on.tlbi_rvale1is(operand),
            (Half::User, Depth::Leaf, Reach::Local) => on.tlbi_rvale1(operand),
            (Half::User, Depth::Tables, Reach::Broadcast) => on.tlbi_rvae1is(operand),
            (Half::User, Depth::Tables, Reach::Local) => on.tlbi_rvae1(operand),
            (Half::Kernel, Depth::Leaf, Reach::Broadcast) => on.tlbi_rvaale1is(operand),
            (Half::Kernel, Depth::Leaf, Reach::Local) => on.tlbi_rvaale1(operand),
            (Half::Kernel, Depth::Tables, Reach::Broadcast) => on.tlbi_rvaae1is(operand),
            (Half::Kernel, Depth::Tables, Reach::Local) => on.tlbi_rvaae1(operand),
        }
    }
}

impl<I: Instructions, const WORDS: usize> Aarch64<I, WORDS> {
    /// Issues the operations of a range under this ASID; false where there are too many, and none was issued.
    pub(super) fn by_pages(
        &self,
        form: Form,
        id: HardwareId,
        pages: &PageRange,
        entries: Entries,
        cost: &mut Cost,
    ) -> bool {
        let tables = self.config.tables();
        let (entry, level) = known_entries(tables.granule, pages.stride(), entries);
        let Some(operations) = range::split(pages, entry, self.rules()) else {
            return false;
        };
        let ttl = self.features.level_hints();
        for operation in operations {
            let raw = operand::of(operation, id, tables, level, ttl);
            let raw = mistaken(raw, operation, tables.granule);
            self.issue(form, operation, raw, cost);
            let has_odd = self.config.is_kpti() && !Defect::KptiFlushesOneAsid.is_put_back();
            if form.half == Half::User && has_odd {
                self.issue(form, operation, raw | operand::ODD_ASID, cost);
            }
        }
        true
    }

    fn issue(&self, form: Form, operation: Operation, raw: u64, cost: &mut Cost) {
        match operation {
            Operation::Page(_) => form.by_address(&self.instructions, raw),
            Operation::Range { .. } => form.by_range(&self.instructions, raw),
        }
        count(&mut cost.invalidations);
    }

    pub(super) fn by_asid(&self, raw: u64, reach: Reach, cost: &mut Cost) {
        match reach {
            Reach::Local => self.instructions.tlbi_aside1(raw),
            Reach::Broadcast => self.instructions.tlbi_aside1is(raw),
        }
        count(&mut cost.invalidations);
    }
}

/// Counts up to the end and no further: the counters are the caller's.
pub(super) fn count(counter: &mut u32) {
    *counter = counter.saturating_add(1);
}

/// The size of the smallest entry in the range, and the level of all its leaf entries where the caller knows their size.
fn known_entries(
    granule: Granule,
    stride: PageSize,
    entries: Entries,
) -> (PageSize, Option<Level>) {
    let Some(size) = entries.leaf_size else {
        let believed = Defect::LevelByStride.is_put_back();
        return (stride, believed.then(|| granule.level_of(stride)).flatten());
    };
    match granule.level_of(size) {
        Some(level) if entries.depth == Depth::Leaf => (size, Some(level)),
        // The size of the leaves says nothing about the tables above them.
        _ => (size.min(stride), None),
    }
}

/// The operand as others have written it.
fn mistaken(raw: u64, operation: Operation, granule: Granule) -> u64 {
    let Operation::Page(addr) = operation else {
        return raw;
    };
    let units = addr.raw() >> 12;
    let raw = Defect::AddressNotMasked.sets(units, raw);
    if Defect::AddressShiftedByGranule.is_put_back() {
        return raw & !units | addr.raw() >> granule.page_size().shift();
    }
    Defect::AsidCutTo8Bits.clears(0xff00_0000_0000_0000, raw)
}
