//! How a range of pages becomes TLB invalidation commands.
//!
//! With range fields (IDR3.RIL) a range is split by its binary digits, at most one command for each five of them, and is exact
//! but for one page at most. Without them there is one command for each entry. Where that would take more commands than
//! the limit, the whole address space goes instead.

use super::ids::Granule;
use super::span::{Level, RangeFields, Span, level_shift};
use crate::address::{FlushRange, PageSize, VirtAddr};
use crate::flush::{Depth, Flush};

/// What decides the split.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) granule: Granule,
    /// The size of the address space: a range that covers it is cheaper by ASID, and no wider.
    pub(super) va_bits: u8,
    /// The range fields, where there are any.
    pub(super) ranges: Option<RangeFields>,
    /// The largest number of by-address commands.
    pub(super) limit: u64,
}

/// The commands for one range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// The whole address space, because that is what was asked for or no more than it.
    Whole,
    /// The whole address space, because the range would take too many commands.
    Escalated,
    /// These addresses.
    Spans(Spans),
}

/// Splits a request.
pub(super) fn plan(flush: &Flush, shape: &Shape) -> Plan {
    let FlushRange::Pages(pages) = flush.range() else {
        return Plan::Whole;
    };
    let granule = 1u64 << shape.granule.shift();
    let first = pages.first().raw() & !(granule - 1);
    let last_byte = pages.last_byte().raw() | (granule - 1);
    if covers_everything(first, last_byte, shape.va_bits) {
        return Plan::Whole;
    }
    let spans = match shape.ranges {
        Some(fields) => ranged(flush, shape.granule, first, last_byte, fields),
        None => {
            let step = 1 << smallest_entry(flush, pages.stride(), shape.granule);
            Spans {
                next: first,
                left: (last_byte - first) / step + 1,
                depth: flush.depth(),
                form: Form::Single { step },
            }
        }
    };
    match spans.commands() {
        Some(commands) if commands <= shape.limit => Plan::Spans(spans),
        _ => Plan::Escalated,
    }
}

/// log2 of the bytes that the smallest entry of a request maps. A contiguous group counts as its members, which a TLB may hold one
/// by one.
fn smallest_entry(flush: &Flush, stride: PageSize, granule: Granule) -> u8 {
    let size = flush
        .known_leaf_size()
        .map_or(stride, |leaf| leaf.min(stride));
    let page = granule.shift();
    [Level::One, Level::Two]
        .map(|level| page + level_shift(granule, Some(level)))
        .into_iter()
        .find(|&entry| entry <= size.shift())
        .unwrap_or(page)
}

fn covers_everything(first: u64, last_byte: u64, va_bits: u8) -> bool {
    first == 0 && u128::from(last_byte) + 1 >= 1 << va_bits
}

fn ranged(
    flush: &Flush,
    granule: Granule,
    first: u64,
    last_byte: u64,
    fields: RangeFields,
) -> Spans {
    let mut granules = ((last_byte - first) >> granule.shift()) + 1;
    let level = flush
        .known_leaf_size()
        .and_then(|size| level_of(size, granule, fields))
        .filter(|&level| {
            let shift = level_shift(granule, Some(level));
            (first >> granule.shift() | granules).trailing_zeros() >= u32::from(shift)
        });
    if level.is_none() {
        granules = without_reserved_chunk(granules, last_byte);
    }
    Spans {
        next: first,
        left: granules,
        depth: flush.depth(),
        form: Form::Ranged {
            granule,
            level,
            fields,
        },
    }
}

/// One granule alone with SCALE 0 and no level is a reserved combination. A longer run that would end in it takes one granule
/// more, which costs no command; at the very end of the addresses, and for one granule in all, the single form stands in.
fn without_reserved_chunk(granules: u64, last_byte: u64) -> u64 {
    if granules > 1 && granules % 32 == 1 && last_byte != u64::MAX {
        granules + 1
    } else {
        granules
    }
}

/// The level of leaf entries of this size, contiguous groups included; `None` for sizes that tables of this granule do not have.
fn level_of(size: PageSize, granule: Granule, fields: RangeFields) -> Option<Level> {
    let level = match (granule, size.shift()) {
        (Granule::Kib4, 12 | 16) | (Granule::Kib16, 14 | 21) | (Granule::Kib64, 16 | 21) => {
            Level::Three
        }
        (Granule::Kib4, 21 | 25) | (Granule::Kib16, 25 | 30) | (Granule::Kib64, 29 | 34) => {
            Level::Two
        }
        (Granule::Kib4, 30 | 34) | (Granule::Kib64, 42) => Level::One,
        (Granule::Kib16, 36) if fields == RangeFields::Wide => Level::One,
        _ => return None,
    };
    Some(level)
}

/// The spans of one range, in ascending order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spans {
    next: u64,
    left: u64,
    depth: Depth,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// `left` addresses, `step` bytes apart.
    Single { step: u64 },
    /// `left` granules.
    Ranged {
        granule: Granule,
        level: Option<Level>,
        fields: RangeFields,
    },
}

impl Spans {
    /// How many commands it takes; `None` where the range fields cannot express it in a few.
    fn commands(&self) -> Option<u64> {
        match self.form {
            Form::Single { .. } => Some(self.left),
            Form::Ranged { fields, .. } => {
                let reach = u32::from(fields.max_scale()) + 5;
                (self.left >> reach == 0).then(|| self.count() as u64)
            }
        }
    }

    fn take(&mut self, units: u64, bytes: u64) {
        self.left -= units;
        // The last span may end at 2^64.
        self.next = self.next.wrapping_add(bytes);
    }
}

impl Iterator for Spans {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        if self.left == 0 {
            return None;
        }
        let addr = VirtAddr::new(self.next);
        match self.form {
            Form::Single { step } => {
                self.take(1, step);
                Some(Span::single(addr, self.depth))
            }
            Form::Ranged {
                granule,
                level,
                fields,
            } => {
                let scale = self
                    .left
                    .trailing_zeros()
                    .min(u32::from(fields.max_scale()));
                let chunk = (self.left >> scale) & 31;
                let span = Span::granules(
                    addr,
                    granule,
                    chunk as u8,
                    scale as u8,
                    level,
                    self.depth,
                    fields,
                );
                // What the range form cannot say is one granule: that takes the single form.
                let granules = if span.is_some() { chunk << scale } else { 1 };
                self.take(granules, granules << granule.shift());
                span.or(Some(Span::single(addr, self.depth)))
            }
        }
    }
}

#[cfg(test)]
mod tests;
