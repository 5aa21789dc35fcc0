//! What may happen next.

use core::fmt;

/// What a CPU goes over to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The process that is explored.
    Process,
    /// Another, of which nothing is changed.
    Neighbour,
    /// A root of the kernel's own.
    Kernel,
    /// A kernel thread, under the root that is loaded.
    Lazy,
}

/// One step. Which CPU changes a page, the theme says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Unmap(usize),
    Map(usize),
    /// Its right to be written goes.
    Narrow(usize),
    Widen(usize),
    /// The CPU starts the flush of what it has changed.
    Flush(usize),
    /// It puts the change into the batch.
    Defer(usize),
    FlushBatch,
    /// One look at every ticket.
    Look,
    /// The task that looks at the tickets goes to the other CPU.
    Migrate,
    /// What is under way in IOMMUs and store buffers may go on.
    Time,
    /// A CPU takes its interrupt.
    Interrupt(usize),
    /// A CPU reads both pages.
    Touch(usize),
    /// The device does.
    DeviceTouch,
    /// The device answers no invalidation for a while.
    DeviceStalls,
    DeviceAnswers,
    To(usize, Next),
    /// A switch to the process in its three parts; interrupts are off there from the first to the last.
    Begin(usize),
    Load(usize),
    End(usize),
    Retire,
}

impl Step {
    /// The page that it is about, where it is about one.
    pub(super) fn page(&self) -> Option<usize> {
        match *self {
            Self::Unmap(page)
            | Self::Map(page)
            | Self::Narrow(page)
            | Self::Widen(page)
            | Self::Flush(page)
            | Self::Defer(page) => Some(page),
            _ => None,
        }
    }
}

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "switches to the process",
            Self::Neighbour => "switches to the neighbour",
            Self::Kernel => "switches to the kernel's root",
            Self::Lazy => "runs a kernel thread on the root that it has",
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmap(page) => write!(f, "unmaps page {page}"),
            Self::Map(page) => write!(f, "maps page {page}"),
            Self::Narrow(page) => write!(f, "makes page {page} read-only"),
            Self::Widen(page) => write!(f, "makes page {page} writable"),
            Self::Flush(page) => write!(f, "starts the flush of page {page}"),
            Self::Defer(page) => write!(f, "puts page {page} into the batch"),
            Self::FlushBatch => f.write_str("the flush of the batch is started"),
            Self::Look => f.write_str("the tickets are looked at"),
            Self::Migrate => f.write_str("the task that waits goes to the other CPU"),
            Self::Time => f.write_str("time passes"),
            Self::Interrupt(cpu) => write!(f, "CPU {cpu}: takes its interrupt"),
            Self::Touch(cpu) => write!(f, "CPU {cpu}: reads both pages"),
            Self::DeviceTouch => f.write_str("device: reads both pages"),
            Self::DeviceStalls => f.write_str("device: answers no invalidation from here on"),
            Self::DeviceAnswers => f.write_str("device: answers again"),
            Self::To(cpu, next) => write!(f, "CPU {cpu}: {next}"),
            Self::Begin(cpu) => write!(f, "CPU {cpu}: begins to switch to the process"),
            Self::Load(cpu) => write!(f, "CPU {cpu}: loads the root"),
            Self::End(cpu) => write!(f, "CPU {cpu}: says that the root is loaded"),
            Self::Retire => f.write_str("the process is retired"),
        }
    }
}
