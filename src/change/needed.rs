//! What the comparison of two entries can end with.

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Level {
    /// In a table of the last level: it maps a page of the base size.
    PageTable,
    /// Above: it refers to a table or maps a large page.
    Directory,
}

/// What has to be done about the change of one entry, the strictest last.
///
/// Where the old entry referred to a table, walk caches may hold it: the flush is then made without
/// [`Flush::leaf_only`](crate::flush::Flush::leaf_only).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Needed {
    /// Nothing: whoever holds the old entry behaves as with the new one, or looks again by itself.
    Nothing,
    /// Rights were widened at the same address with the same attributes: [`upgrade`](crate::shootdown::Shootdown::upgrade), or after the
    /// store [`flush_upgrade`](crate::shootdown::Shootdown::flush_upgrade).
    Upgrade,
    /// Anything else that the machine bears in one store: [`flush`](crate::shootdown::Shootdown::flush) after it.
    Change,
    /// Old and new must never be live at once: [`replace`](crate::shootdown::Shootdown::replace), which makes the entry invalid, flushes,
    /// and only then stores the new one.
    ///
    /// This is what the machine asks for. The reason of a change may ask for the same where the machine would not
    /// ([`Decision::needs_invalid_between`](crate::change::Decision::needs_invalid_between)): memory is copied, say, and no CPU
    /// may go on reading the old page while another writes to the new one.
    Replace,
}
