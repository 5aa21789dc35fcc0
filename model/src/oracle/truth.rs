//! Whether a cached entry still says what the page table says.

use crate::memory::Memory;
use crate::memory::descriptor::{Leaf, Rights};
use crate::memory::walk::{Walk, walk};
use crate::tlb::{Entry, Says};

/// An entry compared with the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Status {
    /// The same.
    Current,
    /// The same but for rights that the table gives and the entry does not.
    Weaker,
    /// Anything else.
    Stale,
}

/// Compares an entry with the table as the last stores in program order left it.
pub(crate) fn status(entry: &Entry, memory: &Memory) -> Status {
    if memory.frames.owner(entry.leads_to()) != entry.owner {
        return Status::Stale;
    }
    match entry.says {
        Says::Table(table) => table_status(entry, table, memory),
        Says::Leaf(leaf) => leaf_status(entry, &leaf, memory),
    }
}

fn table_status(entry: &Entry, table: u64, memory: &Memory) -> Status {
    let there = |(step, next): &(crate::memory::walk::Step, u64)| {
        step.level == entry.from.level && *next == table
    };
    if today(entry, entry.va, memory).tables.iter().any(there) {
        Status::Current
    } else {
        Status::Stale
    }
}

/// A contiguous group is as good as the worst of its members.
fn leaf_status(entry: &Entry, cached: &Leaf, memory: &Memory) -> Status {
    let granule = 1_u64 << entry.context.root.format.shift(entry.from.level);
    let base = cached.pa & !((1 << entry.shift) - 1);
    let members = (0..1_u64 << entry.shift).step_by(granule as usize);
    let status = members.map(|offset| {
        let today = today(entry, entry.va + offset, memory).leaf;
        match today {
            Some((_, leaf)) if same_but_rights(&leaf, cached, base + offset) => {
                compare_rights(cached, &leaf)
            }
            _ => Status::Stale,
        }
    });
    status.max().unwrap_or(Status::Stale)
}

fn today(entry: &Entry, va: u64, memory: &Memory) -> Walk {
    walk(entry.context.root, va, |at| Some(memory.frames.latest(at)))
}

/// Whether both lead to the same place, under the same attributes.
pub(super) fn same_but_rights(today: &Leaf, cached: &Leaf, pa: u64) -> bool {
    today.pa == pa
        && today.shift == cached.shift
        && today.user == cached.user
        && today.global == cached.global
}

/// A write through the old entry leaves the new one clean (Intel SDM Vol 3A 4.8 and 4.10.4.2; Power ISA 3.1B Book III 6.7.12, C): the page
/// is dropped as if it had not been written to. An entry that was cached clean is marked at the first write, whatever the table says by then.
///
/// The accessed flag is another matter: who does not set it again makes a page in use look idle, and nothing else.
pub(super) fn marks_no_more(cached: &Leaf, today: &Leaf) -> bool {
    let writes = cached.rights.min(today.rights) == Rights::ReadWrite;
    writes && cached.dirty && !today.dirty
}

fn compare_rights(cached: &Leaf, today: &Leaf) -> Status {
    if marks_no_more(cached, today) {
        return Status::Stale;
    }
    match cached.rights.cmp(&today.rights) {
        core::cmp::Ordering::Equal => Status::Current,
        core::cmp::Ordering::Less => Status::Weaker,
        core::cmp::Ordering::Greater => Status::Stale,
    }
}
