//! An IOMMU's address spaces, and the keys that name them.

use crate::secondary::AttachKey;

/// Slots for address spaces, each with what the IOMMU's driver knows of it.
#[derive(Debug)]
pub(crate) struct Spaces<A, const SLOTS: usize> {
    slots: [Slot<A>; SLOTS],
}

#[derive(Clone, Copy, Debug)]
struct Slot<A> {
    /// Raised at each detach, so that an old key names nothing.
    generation: u32,
    attached: Option<A>,
}

impl<A: Copy, const SLOTS: usize> Spaces<A, SLOTS> {
    pub(crate) const fn new() -> Self {
        let free = Slot {
            generation: 0,
            attached: None,
        };
        Self {
            slots: [free; SLOTS],
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &A> + Clone {
        self.slots.iter().filter_map(|slot| slot.attached.as_ref())
    }

    /// The slot and the address space that a key names, unless it is stale.
    pub(crate) fn find(&self, key: AttachKey) -> Option<(usize, A)> {
        let index = (key.0 & 0xffff_ffff) as usize;
        let slot = self.slots.get(index)?;
        if u64::from(slot.generation) != key.0 >> 32 {
            return None;
        }
        Some((index, slot.attached?))
    }

    pub(crate) fn get_mut(&mut self, index: usize) -> Option<&mut A> {
        self.slots.get_mut(index)?.attached.as_mut()
    }

    /// A free slot, and the key that names what is put into it.
    pub(crate) fn vacant(&self) -> Option<(usize, AttachKey)> {
        let mut slots = self.slots.iter().enumerate();
        let (index, slot) = slots.find(|(_, slot)| slot.attached.is_none())?;
        let key = u64::from(slot.generation) << 32 | index as u64;
        Some((index, AttachKey(key)))
    }

    pub(crate) fn put(&mut self, index: usize, attached: A) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.attached = Some(attached);
        }
    }

    /// Frees a slot; the key that named what it held is stale from here on.
    pub(crate) fn remove(&mut self, index: usize) {
        if let Some(slot) = self.slots.get_mut(index) {
            slot.attached = None;
            slot.generation = slot.generation.wrapping_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_stale_once_its_slot_was_freed() {
        let mut spaces: Spaces<char, 1> = Spaces::new();
        let (index, old) = spaces.vacant().expect("one slot");
        spaces.put(index, 'a');
        assert_eq!(spaces.find(old), Some((0, 'a')));
        assert_eq!(spaces.vacant(), None);
        spaces.remove(index);
        let (index, new) = spaces.vacant().expect("the slot again");
        spaces.put(index, 'b');
        assert_eq!(spaces.find(old), None);
        assert_eq!(spaces.find(new), Some((0, 'b')));
    }

    #[test]
    fn what_was_put_is_listed_and_may_be_changed() {
        let mut spaces: Spaces<char, 2> = Spaces::new();
        assert!(spaces.is_empty());
        spaces.put(1, 'a');
        assert!(!spaces.is_empty());
        *spaces.get_mut(1).expect("what was put") = 'b';
        assert_eq!(spaces.get_mut(0), None);
        assert!(spaces.iter().eq(&['b']));
    }

    #[test]
    fn a_key_beyond_the_slots_names_nothing() {
        let spaces: Spaces<char, 1> = Spaces::new();
        assert_eq!(spaces.find(AttachKey(1)), None);
        assert_eq!(spaces.find(AttachKey(0)), None);
    }
}
