//! What runs are about: the steps that there are in them.

use super::step::{Next, Step};

/// Some steps that have to do with each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theme {
    pub(crate) name: &'static str,
    pub(crate) steps: &'static [Step],
    /// What CPU 0 does at the beginning, after it has used both pages.
    pub(crate) begins: Next,
    /// Whether CPU 1 has run the process, and runs it at the beginning.
    pub(crate) is_shared: bool,
    /// Which CPU changes which page.
    pub(crate) by: [usize; 2],
}

/// Both CPUs change their pages, and are interrupted late and for several changes at once.
pub(crate) const CHANGES: Theme = Theme {
    name: "changes",
    steps: &[
        Step::Unmap(0),
        Step::Narrow(0),
        Step::Unmap(1),
        Step::Widen(1),
        Step::Map(0),
        Step::Flush(0),
        Step::Flush(1),
        Step::Touch(1),
        Step::DeviceTouch,
        Step::Time,
        Step::Interrupt(0),
        Step::Interrupt(1),
        Step::Look,
        Step::DeviceStalls,
        Step::DeviceAnswers,
    ],
    begins: Next::Process,
    is_shared: true,
    by: [0, 1],
};

/// A CPU comes, goes and is in the middle of it, while the other flushes and goes elsewhere with its tickets.
pub(crate) const MOVES: Theme = Theme {
    name: "moves",
    steps: &[
        Step::Unmap(0),
        Step::Flush(0),
        Step::Touch(1),
        Step::To(1, Next::Neighbour),
        Step::To(1, Next::Kernel),
        Step::To(1, Next::Lazy),
        Step::To(1, Next::Process),
        Step::Begin(1),
        Step::Load(1),
        Step::End(1),
        Step::To(0, Next::Kernel),
        Step::Migrate,
        Step::DeviceTouch,
        Step::Time,
        Step::Interrupt(1),
        Step::Look,
    ],
    begins: Next::Process,
    is_shared: true,
    by: [0, 1],
};

/// CPU 0 alone has run the process, and flushes stay there until the other joins it.
pub(crate) const JOINS: Theme = Theme {
    name: "joins",
    steps: &[
        Step::Unmap(0),
        Step::Narrow(0),
        Step::Flush(0),
        Step::Touch(0),
        Step::Touch(1),
        Step::To(1, Next::Process),
        Step::Begin(1),
        Step::Load(1),
        Step::End(1),
        Step::To(0, Next::Kernel),
        Step::Migrate,
        Step::DeviceTouch,
        Step::Time,
        Step::Interrupt(1),
        Step::Look,
    ],
    begins: Next::Process,
    is_shared: false,
    by: [0, 1],
};

/// Changes are put into a batch, beside others that are flushed at once.
pub(crate) const DEFERRALS: Theme = Theme {
    name: "deferrals",
    steps: &[
        Step::Unmap(0),
        Step::Defer(0),
        Step::Map(0),
        Step::Narrow(1),
        Step::Unmap(1),
        Step::Defer(1),
        Step::Flush(1),
        Step::FlushBatch,
        Step::Touch(0),
        Step::Touch(1),
        Step::DeviceTouch,
        Step::To(1, Next::Kernel),
        Step::To(1, Next::Process),
        Step::Time,
        Step::Interrupt(1),
        Step::Look,
    ],
    begins: Next::Process,
    is_shared: true,
    by: [0, 1],
};

/// The process ends, with a CPU that has not left it, and its identifier goes on.
pub(crate) const ENDS: Theme = Theme {
    name: "ends",
    steps: &[
        Step::Unmap(0),
        Step::Flush(0),
        Step::To(1, Next::Kernel),
        Step::To(1, Next::Lazy),
        Step::To(1, Next::Neighbour),
        Step::To(0, Next::Neighbour),
        Step::Retire,
        Step::Touch(1),
        Step::DeviceTouch,
        Step::DeviceStalls,
        Step::DeviceAnswers,
        Step::Time,
        Step::Interrupt(1),
        Step::Look,
    ],
    begins: Next::Kernel,
    is_shared: true,
    by: [0, 1],
};

/// What both CPUs flush of the same process at the same time: each is one generation of it, and who is asked for the very next may flush in
/// part.
pub(crate) const GENERATIONS: Theme = Theme {
    name: "generations",
    steps: &[
        Step::Unmap(0),
        Step::Unmap(1),
        Step::Flush(0),
        Step::Flush(1),
        Step::Map(0),
        Step::Map(1),
        Step::Touch(0),
        Step::Touch(1),
        Step::Interrupt(0),
        Step::Interrupt(1),
        Step::Look,
    ],
    begins: Next::Process,
    is_shared: true,
    by: [0, 1],
};

/// What one CPU flushes twice before the other has been interrupted: the requests become one, and so do the interrupts.
pub(crate) const MERGERS: Theme = Theme {
    name: "mergers",
    by: [0, 0],
    ..GENERATIONS
};
