//! Addresses, page sizes and the ranges that a flush covers.
//!
//! A range is never a pair of integers here. "Everything" is a variant of its own, and the other variant is
//! non-empty and already rounded outward, so that no back end has to guess what `(0, u64::MAX)` or `start == end`
//! was meant to be: each guess of that kind has been a lost or an endless flush in some kernel.

use core::fmt;

/// A virtual (or, on POWER, effective) address.
///
/// Any 64-bit value is representable; whether an address is canonical depends on the machine and is checked by
/// the architecture when the flush starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct VirtAddr(u64);

impl VirtAddr {
    /// Wraps a raw address.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw address.
    pub const fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::LowerHex for VirtAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A physical address as the CPU and the devices' page-table walkers use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// Wraps a raw address.
    pub const fn new(raw: u64) -> Self {
        Self(raw)
    }

    /// The raw address.
    pub const fn raw(self) -> u64 {
        self.0
    }
}

impl fmt::LowerHex for PhysAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

/// The size of a page, a block or a contiguous group of entries: a power of two of at least 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PageSize {
    shift: u8,
}

impl PageSize {
    /// 4 KiB.
    pub const KIB_4: Self = Self { shift: 12 };
    /// 16 KiB.
    pub const KIB_16: Self = Self { shift: 14 };
    /// 64 KiB.
    pub const KIB_64: Self = Self { shift: 16 };
    /// 2 MiB.
    pub const MIB_2: Self = Self { shift: 21 };
    /// 32 MiB.
    pub const MIB_32: Self = Self { shift: 25 };
    /// 512 MiB.
    pub const MIB_512: Self = Self { shift: 29 };
    /// 1 GiB.
    pub const GIB_1: Self = Self { shift: 30 };

    /// The size `1 << shift` bytes; `None` below 4 KiB or above 2^56 bytes.
    pub const fn from_shift(shift: u8) -> Option<Self> {
        if shift >= 12 && shift <= 56 {
            Some(Self { shift })
        } else {
            None
        }
    }

    /// log2 of the size in bytes.
    pub const fn shift(self) -> u8 {
        self.shift
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        1 << self.shift
    }

    const fn offset_mask(self) -> u64 {
        self.bytes() - 1
    }
}

/// Why a pair of addresses is not a range that can be flushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum RangeError {
    /// The range holds no byte. An empty flush is a caller's mistake, and never a silent no-op.
    Empty,
    /// The end lies below the start, or start + length passes 2^64.
    Wraps,
    /// An address is not one that this machine can translate, or the range crosses the hole between two halves.
    NonCanonical,
    /// The promised leaf size is none that an entry of this machine can have.
    UnsupportedSize,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the range is empty",
            Self::Wraps => "the range wraps around the end of the address space",
            Self::NonCanonical => "the range holds addresses that this machine cannot translate",
            Self::UnsupportedSize => "no entry of this machine has the promised size",
        })
    }
}

impl core::error::Error for RangeError {}

/// A non-empty run of pages, rounded outward to its stride.
///
/// The stride is the distance between two leaf entries that may have changed, and so the number of address
/// bytes that one by-address invalidation has to cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct PageRange {
    first: VirtAddr,
    last: VirtAddr,
    stride: PageSize,
}

impl PageRange {
    /// The pages of size `stride` that hold any byte of `[start, end)`.
    ///
    /// `end` is exclusive. To reach the last byte of the address space use [`Self::from_len`] or [`Self::inclusive`].
    ///
    /// # Errors
    /// [`RangeError::Empty`] where `start == end`, [`RangeError::Wraps`] where `end < start`.
    pub const fn new(start: VirtAddr, end: VirtAddr, stride: PageSize) -> Result<Self, RangeError> {
        if start.0 == end.0 {
            return Err(RangeError::Empty);
        }
        if end.0 < start.0 {
            return Err(RangeError::Wraps);
        }
        Self::inclusive(start, VirtAddr(end.0 - 1), stride)
    }

    /// The pages that hold any of the `len` bytes from `start` on.
    ///
    /// # Errors
    /// [`RangeError::Empty`] where `len == 0`, [`RangeError::Wraps`] where the last byte would lie beyond 2^64 - 1.
    pub const fn from_len(start: VirtAddr, len: u64, stride: PageSize) -> Result<Self, RangeError> {
        if len == 0 {
            return Err(RangeError::Empty);
        }
        match start.0.checked_add(len - 1) {
            Some(last) => Self::inclusive(start, VirtAddr(last), stride),
            None => Err(RangeError::Wraps),
        }
    }

    /// The pages that hold any byte from `start` up to and including `last_byte`.
    ///
    /// # Errors
    /// [`RangeError::Wraps`] where `last_byte < start`.
    pub const fn inclusive(
        start: VirtAddr,
        last_byte: VirtAddr,
        stride: PageSize,
    ) -> Result<Self, RangeError> {
        if last_byte.0 < start.0 {
            return Err(RangeError::Wraps);
        }
        let mask = !stride.offset_mask();
        Ok(Self {
            first: VirtAddr(start.0 & mask),
            last: VirtAddr(last_byte.0 & mask),
            stride,
        })
    }

    /// The one page that holds `addr`.
    pub const fn page(addr: VirtAddr, size: PageSize) -> Self {
        let base = VirtAddr(addr.0 & !size.offset_mask());
        Self {
            first: base,
            last: base,
            stride: size,
        }
    }

    /// The base of the first page.
    pub const fn first(&self) -> VirtAddr {
        self.first
    }

    /// The base of the last page.
    pub const fn last(&self) -> VirtAddr {
        self.last
    }

    /// The last byte of the last page. Inclusive, so that it exists for the top page as well.
    pub const fn last_byte(&self) -> VirtAddr {
        VirtAddr(self.last.0 | self.stride.offset_mask())
    }

    /// The distance between two leaf entries.
    pub const fn stride(&self) -> PageSize {
        self.stride
    }

    /// The number of strides, at least 1 and at most 2^52.
    pub const fn count(&self) -> u64 {
        ((self.last.0 - self.first.0) >> self.stride.shift) + 1
    }

    /// The same bytes, rounded outward to another stride.
    pub const fn with_stride(&self, stride: PageSize) -> Self {
        let mask = !stride.offset_mask();
        Self {
            first: VirtAddr(self.first.0 & mask),
            last: VirtAddr(self.last_byte().0 & mask),
            stride,
        }
    }

    /// Whether `addr` lies in the range.
    pub const fn contains(&self, addr: VirtAddr) -> bool {
        self.first.0 <= addr.0 && addr.0 <= self.last_byte().0
    }

    /// Whether the two overlap or lie side by side.
    pub(crate) const fn touches(&self, other: &Self) -> bool {
        let (a, b) = (self.last_byte().0, other.last_byte().0);
        self.first.0 <= b.saturating_add(1) && other.first.0 <= a.saturating_add(1)
    }

    /// The smallest range that covers both; its stride is the smaller of the two.
    pub const fn hull(&self, other: &Self) -> Self {
        let stride = if self.stride.shift <= other.stride.shift {
            self.stride
        } else {
            other.stride
        };
        let (a, b) = (self.with_stride(stride), other.with_stride(stride));
        Self {
            first: if a.first.0 <= b.first.0 {
                a.first
            } else {
                b.first
            },
            last: if a.last.0 >= b.last.0 { a.last } else { b.last },
            stride,
        }
    }
}

/// What a flush covers in one address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum FlushRange {
    /// The whole address space.
    All,
    /// These pages.
    Pages(PageRange),
}

impl FlushRange {
    /// The smallest range that covers both.
    pub const fn hull(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Pages(a), Self::Pages(b)) => Self::Pages(a.hull(b)),
            _ => Self::All,
        }
    }
}

impl From<PageRange> for FlushRange {
    fn from(pages: PageRange) -> Self {
        Self::Pages(pages)
    }
}
