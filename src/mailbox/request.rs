//! What one CPU asks others to flush, as values: no reference and no address of the asking CPU's stack.

use crate::address::{FlushRange, PageRange, PageSize, VirtAddr};
use crate::arch::{Change, HardwareId};
use crate::flush::{Depth, Flush};
use crate::space_id::SpaceId;

/// A request in a mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Nothing but the round itself: whoever walks tables with interrupts off has finished when it has answered.
    Round,
    /// Pages or all of one address space.
    Space(Change),
    /// Kernel pages, for every identifier.
    Kernel { flush: Flush },
    /// The space is being retired: leave its root where it is still loaded, then flush it.
    Leave { space: SpaceId, id: HardwareId },
    /// Drop what is held of the space, unless it runs here: nobody needs it, and nobody waits. A root of it that is loaded for nobody is
    /// left.
    LetGo { space: SpaceId, id: HardwareId },
    /// Whatever is held of the space that is loaded, of several that have changed. `tables`: walk caches of one that is loaded for nobody
    /// are concerned too.
    Loaded { tables: bool },
    /// Everything there is.
    Everything,
}

impl Request {
    /// How many words an encoded request takes.
    pub(super) const WORDS: usize = 7;

    /// A request that covers both. Widens along page < range < space < everything, and never narrows.
    pub(crate) fn merge(&self, other: &Self) -> Self {
        match (*self, *other) {
            (Self::Round, wider) | (wider, Self::Round) => wider,
            (Self::Space(a), Self::Space(b)) if a.space == b.space && a.id == b.id => {
                Self::Space(a.merge(&b))
            }
            (Self::Kernel { flush }, Self::Kernel { flush: flush2 }) => Self::Kernel {
                flush: flush.merge(&flush2),
            },
            (Self::Loaded { tables: a }, Self::Loaded { tables: b }) => {
                Self::Loaded { tables: a || b }
            }
            (a, b) if a == b => a,
            _ => Self::Everything,
        }
    }

    /// The request of a batch that is about changes of another space too. CPUs are then asked for what they run.
    pub(crate) fn with(&self, other: &Change) -> Self {
        let is_of_tables = |change: &Change| change.flush.depth() == Depth::Tables;
        match self {
            Self::Space(change) => Self::Loaded {
                tables: is_of_tables(change) || is_of_tables(other),
            },
            Self::Loaded { tables } => Self::Loaded {
                tables: *tables || is_of_tables(other),
            },
            wider => *wider,
        }
    }

    /// Whether a full flush is all that is asked for.
    pub(super) fn is_flush(&self) -> bool {
        match self {
            Self::Space(_) | Self::Kernel { .. } | Self::Loaded { .. } | Self::Everything => true,
            Self::Round | Self::Leave { .. } | Self::LetGo { .. } => false,
        }
    }

    pub(super) fn encode(&self) -> [u64; Self::WORDS] {
        match *self {
            Self::Round => [0; Self::WORDS],
            Self::Space(Change {
                space,
                id,
                since,
                generation,
                flush,
            }) => {
                let [shape, first, last] = encode_flush(&flush);
                [1 | shape, first, last, space.raw(), id.0, since, generation]
            }
            Self::Kernel { flush } => {
                let [shape, first, last] = encode_flush(&flush);
                [2 | shape, first, last, 0, 0, 0, 0]
            }
            Self::Leave { space, id } => [3, 0, 0, space.raw(), id.0, 0, 0],
            Self::LetGo { space, id } => [4, 0, 0, space.raw(), id.0, 0, 0],
            Self::Loaded { tables } => [5, u64::from(tables), 0, 0, 0, 0, 0],
            Self::Everything => [6, 0, 0, 0, 0, 0, 0],
        }
    }

    pub(super) fn decode(words: [u64; Self::WORDS]) -> Self {
        let [shape, first, last, space, id, since, generation] = words;
        let space = SpaceId::from_raw(space);
        let id = HardwareId(id);
        match shape & 0xff {
            0 => Self::Round,
            1 => Self::Space(Change {
                space,
                id,
                since,
                generation,
                flush: decode_flush(shape, first, last),
            }),
            2 => Self::Kernel {
                flush: decode_flush(shape, first, last),
            },
            3 => Self::Leave { space, id },
            4 => Self::LetGo { space, id },
            5 => Self::Loaded { tables: first != 0 },
            _ => Self::Everything,
        }
    }
}

/// Shape word: bit 9 leaf only, bits 16..24 shift of the stride or 0 for everything, bits 24..32 shift of the leaf size or 0.
fn encode_flush(flush: &Flush) -> [u64; 3] {
    let leaf_size = flush
        .promised_leaf_size()
        .map_or(0, |size| u64::from(size.shift()));
    let leaf_only = u64::from(flush.depth() == Depth::Leaf);
    match flush.range() {
        FlushRange::All => [0, 0, 0],
        FlushRange::Pages(pages) => [
            leaf_only << 9 | u64::from(pages.stride().shift()) << 16 | leaf_size << 24,
            pages.first().raw(),
            pages.last().raw(),
        ],
    }
}

/// Anything that does not decode is taken for the whole space: wider, never narrower.
fn decode_flush(shape: u64, first: u64, last: u64) -> Flush {
    let pages = PageSize::from_shift((shape >> 16) as u8).and_then(|stride| {
        PageRange::inclusive(VirtAddr::new(first), VirtAddr::new(last), stride).ok()
    });
    let Some(pages) = pages else {
        return Flush::all();
    };
    let mut flush = Flush::pages(pages);
    if shape & 1 << 9 != 0 {
        flush = flush.leaf_only();
    }
    match PageSize::from_shift((shape >> 24) as u8) {
        Some(size) => flush.leaf_size(size),
        None => flush,
    }
}
