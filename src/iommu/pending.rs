//! Device-TLB invalidations that wait for the next seal: in one queue with the IOMMU's own, they come after those.

/// The commands, each with the slot of its device.
#[derive(Debug)]
pub(crate) struct Pending<C, const N: usize> {
    entries: [(usize, C); N],
    len: usize,
}

impl<C: Copy, const N: usize> Pending<C, N> {
    /// An empty list. Its places hold `filler` until they are used.
    pub(crate) const fn new(filler: C) -> Self {
        Self {
            entries: [(0, filler); N],
            len: 0,
        }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len as u64
    }

    pub(crate) const fn clear(&mut self) {
        self.len = 0;
    }

    pub(crate) const fn has_room(&self, more: u64) -> bool {
        more <= (N - self.len) as u64
    }

    /// Adds one; the caller has asked [`Self::has_room`].
    pub(crate) fn push(&mut self, device: usize, command: C) {
        if let Some(entry) = self.entries.get_mut(self.len) {
            *entry = (device, command);
            self.len += 1;
        }
    }

    /// Forgets those of one device.
    pub(crate) fn drop_device(&mut self, device: usize) {
        let mut kept = 0;
        for index in 0..self.len {
            if let Some(&entry) = self.entries.get(index)
                && entry.0 != device
                && let Some(place) = self.entries.get_mut(kept)
            {
                *place = entry;
                kept += 1;
            }
        }
        self.len = kept;
    }

    pub(crate) fn pop(&mut self) -> Option<(usize, C)> {
        self.len = self.len.checked_sub(1)?;
        self.entries.get(self.len).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_of_one_device_are_forgotten_and_no_others() {
        let mut pending: Pending<char, 3> = Pending::new('-');
        pending.push(0, 'a');
        pending.push(1, 'b');
        pending.push(0, 'c');
        assert_eq!(pending.len(), 3);
        assert!(!pending.has_room(1));
        pending.drop_device(0);
        assert_eq!(pending.len(), 1);
        assert!(pending.has_room(2));
        assert_eq!(pending.pop(), Some((1, 'b')));
        assert_eq!(pending.pop(), None);
    }

    #[test]
    fn a_cleared_list_has_nothing_and_all_its_room() {
        let mut pending: Pending<char, 2> = Pending::new('-');
        pending.push(0, 'a');
        pending.push(0, 'b');
        pending.clear();
        assert!(pending.has_room(2));
        assert_eq!(pending.pop(), None);
    }
}
