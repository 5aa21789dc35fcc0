//! A random kernel's operations in words.

use super::op::{How, Op};
use super::pages::Half;
use core::fmt;

impl fmt::Display for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(space) => write!(f, "space {space}"),
            Self::Kernel => f.write_str("the kernel's half"),
        }
    }
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tight => "exactly",
            Self::Loose => "without promises",
            Self::All => "as a whole",
            Self::Each => "page by page",
        })
    }
}

fn rights(writable: bool) -> &'static str {
    if writable { "writable" } else { "read-only" }
}

fn access(write: bool) -> &'static str {
    if write { "writes to" } else { "reads" }
}

impl<O: fmt::Debug> fmt::Display for Op<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch { .. }
            | Self::SwitchAmid { .. }
            | Self::SwitchToKernel { .. }
            | Self::Lazy { .. }
            | Self::Stop { .. }
            | Self::Start { .. }
            | Self::Move { .. }
            | Self::Access { .. }
            | Self::Touch { .. }
            | Self::Crowd { .. } => self.of_cpus(f),
            Self::Attach { .. }
            | Self::Detach { .. }
            | Self::Device { .. }
            | Self::DeviceTouch { .. }
            | Self::DeviceFault { .. } => self.of_devices(f),
            Self::Defer { .. }
            | Self::TakeAndReturn { .. }
            | Self::FlushBatch { .. }
            | Self::WriteOut { .. }
            | Self::Reclaim { .. }
            | Self::Gather { .. } => self.of_batches(f),
            Self::Own(own) => write!(f, "{own:?}"),
            _ => self.of_tables(f),
        }
    }
}

impl<O> Op<O> {
    fn of_cpus(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Move { cpu } => write!(f, "the kernel's work goes on on CPU {cpu}"),
            Self::Switch { cpu, space } => write!(f, "CPU {cpu} switches to space {space}"),
            Self::SwitchAmid {
                cpu,
                space,
                half,
                loaded,
            } => {
                let when = if loaded { "after" } else { "before" };
                write!(
                    f,
                    "CPU {cpu} switches to space {space}; {half} is flushed {when} the root is loaded"
                )
            }
            Self::SwitchToKernel { cpu } => write!(f, "CPU {cpu} switches to the kernel's root"),
            Self::Lazy { cpu } => write!(f, "CPU {cpu} runs a kernel thread on the root it has"),
            Self::Stop { cpu } => write!(f, "CPU {cpu} goes offline and stops"),
            Self::Start { cpu } => write!(f, "CPU {cpu} comes back"),
            Self::Crowd { space, page } => write!(
                f,
                "all CPUs run space {space} and read page {page}, which is unmapped and flushed"
            ),
            Self::Access {
                cpu,
                half,
                page,
                write,
            } => write!(f, "CPU {cpu} {} page {page} of {half}", access(write)),
            Self::Touch { cpu } => write!(f, "CPU {cpu} reads everything"),
            _ => Ok(()),
        }
    }

    fn of_tables(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Map {
                half,
                page,
                writable,
            } => write!(f, "page {page} of {half} is mapped {}", rights(writable)),
            Self::Unmap { half, page } => write!(f, "page {page} of {half} is unmapped"),
            Self::Protect {
                half,
                page,
                writable,
            } => write!(f, "page {page} of {half} is made {}", rights(writable)),
            Self::Upgrade { space, page } => {
                write!(f, "page {page} of space {space} is made writable at once")
            }
            Self::UnmapTable { half, table } => write!(f, "table {table} of {half} is unmapped"),
            Self::Flush { half, how } => write!(f, "{half} is flushed {how}"),
            Self::FlushTwice { space, pages, by } => write!(
                f,
                "CPUs {by:?} flush pages {pages:?} of space {space} at the same time"
            ),
            Self::Retire { space } => write!(f, "space {space} is retired"),
            _ => Ok(()),
        }
    }

    fn of_batches(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Defer {
                space,
                page,
                batch,
                how,
                dirty,
            } => {
                let dirty = if dirty { "dirty " } else { "" };
                write!(
                    f,
                    "{dirty}page {page} of space {space} goes into batch {batch}, {how}"
                )
            }
            Self::TakeAndReturn {
                space,
                page,
                batch,
                maps,
            } => {
                let then = if maps { "mapped anew" } else { "found gone" };
                write!(
                    f,
                    "page {page} of space {space} and its neighbour go into batch {batch} and are {then}"
                )
            }
            Self::FlushBatch { batch } => write!(f, "batch {batch} is flushed"),
            Self::WriteOut { space, page, batch } => write!(
                f,
                "dirty page {page} of space {space} goes into batch {batch}, which is written out"
            ),
            Self::Reclaim { page, how } => {
                write!(f, "page {page} of each space is reclaimed, {how}")
            }
            Self::Gather { space, pages, by } => write!(
                f,
                "CPUs {by:?} gather pages {pages:?} of space {space} and free them"
            ),
            _ => Ok(()),
        }
    }

    fn of_devices(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Attach { context, space } => {
                write!(f, "context {context} is attached to space {space}")
            }
            Self::Detach { context } => write!(f, "context {context} is detached"),
            Self::Device {
                context,
                page,
                write,
            } => write!(f, "context {context} {} page {page}", access(write)),
            Self::DeviceTouch { context } => write!(f, "context {context} reads everything"),
            Self::DeviceFault { context, page } => {
                write!(
                    f,
                    "context {context} faults on page {page} until it may write"
                )
            }
            _ => Ok(()),
        }
    }
}
