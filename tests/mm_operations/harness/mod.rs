//! A small kernel on the software machine: four CPUs of any architecture, beside them nothing or a device that shares processes' tables.
//!
//! Where the device's walker reads another format than the CPUs', the kernel mirrors: a second tree of the device's format has every store
//! that the first one has, before the call that completes the change. The oracle is told of both roots.

mod aarch64;
mod amd;
mod boot;
mod calls;
mod column;
mod deferred;
mod edit;
mod format;
mod iommu;
mod judge;
mod kernel;
mod machine;
mod ocxl;
mod page;
mod powerpc;
mod quick;
mod sink;
mod smmuv3;
mod spent;
mod tickets;
mod users;
mod vtd;
mod x86_64;

pub(crate) use aarch64::Aarch64;
pub(crate) use column::{Beside, Column};
pub(crate) use iommu::meets_kernel;
pub(crate) use kernel::{KERNEL, Kernel, Left, P, Q, Run};
pub(crate) use machine::Machine;
pub(crate) use page::{Page, span, table_range};
pub(crate) use powerpc::Power;
pub(crate) use spent::Spent;
pub(crate) use x86_64::X86_64;
