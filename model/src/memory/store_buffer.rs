//! The stores of one CPU that the walkers may not see yet.

use alloc::vec::Vec;

/// One store on its way.
#[derive(Clone, Copy, Debug)]
struct Store {
    pa: u64,
    value: u64,
    /// `dsb nshst` has made it visible to this CPU's own walker (Arm ARM B2.3.12: the barrier's domain).
    own_walker: bool,
}

/// Stores in program order. The CPU itself reads its own stores at once; its walker and everybody else's are other observers
/// (Arm ARM D8.2.6: a walk is not ordered with the stores of the same PE without a barrier).
#[derive(Debug, Default)]
pub(crate) struct StoreBuffer {
    stores: Vec<Store>,
}

impl StoreBuffer {
    pub(crate) fn push(&mut self, pa: u64, value: u64) {
        self.stores.push(Store {
            pa,
            value,
            own_walker: false,
        });
    }

    /// What the CPU itself reads, if a store of its own is on the way.
    pub(crate) fn forward(&self, pa: u64) -> Option<u64> {
        self.newest(pa, |_| true)
    }

    /// What the CPU's walker is bound to see.
    pub(crate) fn walker(&self, pa: u64) -> Option<u64> {
        self.newest(pa, |store| store.own_walker)
    }

    /// Whether some walker may not see some store: any walker, or this CPU's own.
    pub(crate) fn is_on_its_way(&self, any_walker: bool) -> bool {
        let mut stores = self.stores.iter();
        stores.any(|store| any_walker || !store.own_walker)
    }

    /// `dsb nshst` and stronger: the walker of this CPU sees everything stored so far.
    pub(crate) fn show_own_walker(&mut self) {
        for store in &mut self.stores {
            store.own_walker = true;
        }
    }

    /// Hands out every store in order, to be written to memory.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.stores.drain(..).map(|store| (store.pa, store.value))
    }

    /// Hands out the oldest store.
    pub(crate) fn pop(&mut self) -> Option<(u64, u64)> {
        let store = (!self.stores.is_empty()).then(|| self.stores.remove(0));
        store.map(|store| (store.pa, store.value))
    }

    fn newest(&self, pa: u64, seen: impl Fn(&Store) -> bool) -> Option<u64> {
        let mut stores = self.stores.iter().rev();
        stores
            .find(|store| store.pa == pa && seen(store))
            .map(|store| store.value)
    }
}
