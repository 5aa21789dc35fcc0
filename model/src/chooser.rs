//! Who decides where the manuals leave a choice.

#[cfg(feature = "std")]
use core::panic::Location;

/// How a machine uses the freedom that the manuals give it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Temper {
    /// Everything is done at once and in order, as the kindest emulators do it.
    Kind,
    /// Everything is done as late as is allowed, and in the reverse of its order where order is free. Nothing is done unasked:
    /// runs are easy to read.
    Late,
    /// Every choice is drawn from this seed, speculative fills and evictions included.
    Seeded(u64),
    /// Every choice is the exploration's that goes on on this thread ([`explore`](crate::explore)).
    #[cfg(feature = "std")]
    Explored,
}

/// Draws the choices of one machine.
#[derive(Clone, Debug)]
pub(crate) struct Chooser {
    temper: Temper,
    state: u64,
}

impl Chooser {
    pub(crate) fn new(temper: Temper) -> Self {
        let seed = match temper {
            Temper::Seeded(seed) => seed,
            _ => 0,
        };
        // Zero is the one state that xorshift never leaves.
        let state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        Self { temper, state }
    }

    /// Whether something that may be done now or later is done now.
    #[track_caller]
    pub(crate) fn now(&mut self) -> bool {
        match self.temper {
            Temper::Kind => true,
            Temper::Late => false,
            Temper::Seeded(_) => self.draw() & 1 == 0,
            #[cfg(feature = "std")]
            Temper::Explored => crate::explore::deviate(2, "early", Location::caller()) == 1,
        }
    }

    /// The same for something of which there may be nothing: what makes no difference is not explored.
    #[track_caller]
    pub(crate) fn now_if(&mut self, is_there: bool) -> bool {
        match self.temper {
            #[cfg(feature = "std")]
            Temper::Explored if !is_there => false,
            _ => self.now() && is_there,
        }
    }

    /// The same, less often where it is drawn.
    #[track_caller]
    pub(crate) fn seldom_if(&mut self, is_there: bool) -> bool {
        match self.temper {
            #[cfg(feature = "std")]
            Temper::Explored => self.now_if(is_there),
            _ => (0..3).all(|_| self.now()) && is_there,
        }
    }

    /// Whether something that nobody asked for happens: one time in `odds`, and only where choices are drawn.
    #[track_caller]
    pub(crate) fn unasked(&mut self, odds: u64) -> bool {
        match self.temper {
            Temper::Kind | Temper::Late => false,
            Temper::Seeded(_) => self.draw().is_multiple_of(odds),
            #[cfg(feature = "std")]
            Temper::Explored => crate::explore::deviate(2, "unasked", Location::caller()) == 1,
        }
    }

    /// Which of `count` things it is that [nobody asked for](Self::unasked), each of which is tried: that it happens is the deviation.
    /// `count` is not 0.
    pub(crate) fn any(&mut self, count: usize) -> usize {
        match self.temper {
            #[cfg(feature = "std")]
            Temper::Explored => crate::explore::choose(count),
            _ => self.pick(count),
        }
    }

    /// Whether an IOMMU has done all that it was told before the store to its doorbell is over. Only where choices are explored: wherever
    /// else it works when time passes or its registers are read.
    #[track_caller]
    pub(crate) fn hurries(&mut self) -> bool {
        match self.temper {
            #[cfg(feature = "std")]
            Temper::Explored => {
                crate::explore::deviate(2, "at once, within the doorbell", Location::caller()) == 1
            }
            _ => false,
        }
    }

    /// The same for what would happen so often that no exploration could follow it.
    pub(crate) fn unasked_at_random(&mut self, odds: u64) -> bool {
        matches!(self.temper, Temper::Seeded(_)) && self.unasked(odds)
    }

    /// Which of `count` unordered things is done first; `count` is not 0.
    #[track_caller]
    pub(crate) fn pick(&mut self, count: usize) -> usize {
        match self.temper {
            Temper::Kind => 0,
            Temper::Late => count - 1,
            Temper::Seeded(_) => (self.draw() % count as u64) as usize,
            #[cfg(feature = "std")]
            Temper::Explored => {
                let taken = crate::explore::deviate(count, "in another order", Location::caller());
                count - 1 - taken
            }
        }
    }

    /// xorshift64*, the upper half.
    fn draw(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }
}
