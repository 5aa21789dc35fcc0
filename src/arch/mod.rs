//! The architectures: how a CPU drops translations, and how it knows that the others have.
//!
//! [`Arch`] is the one trait they share. All of them compile on every host; only the asm is `cfg(target_arch)`.

use crate::address::{FlushRange, PageRange, PageSize, RangeError};
use crate::change::{Decision, Reason};
use crate::cost::Cost;
use crate::cpu_set::CpuId;
use crate::flush::{Depth, Flush};
use crate::space_id::SpaceId;
use core::fmt;

pub mod aarch64;
mod bitmap;
mod generations;
pub mod powerpc;
mod shown;
pub mod x86_64;

cfg_if::cfg_if! {
    if #[cfg(any(target_arch = "aarch64", target_arch = "powerpc64", target_arch = "x86_64"))] {
        mod native;
        pub use native::Native;
    }
}

pub use generations::Change;

/// The identifier that tags one address space's entries in the TLBs (ASID, PCID, PID), in the architecture's own coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[repr(transparent)]
pub struct HardwareId(pub u64);

/// Which CPUs an operation reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Reach {
    /// The executing CPU alone.
    Local,
    /// Every CPU that takes part in hardware broadcasts, and IOMMUs that snoop them.
    Broadcast,
}

/// Which half of the address space an operation concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Half {
    /// Mappings of one address space, tagged with its identifier.
    User,
    /// Mappings that all address spaces share. The executing CPU also resynchronises its own instruction stream.
    Kernel,
}

/// What is known about the entries of a by-address invalidation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Entries {
    /// Leaf entries alone, or walk caches as well.
    pub depth: Depth,
    /// The size of every leaf entry concerned, for level hints; `None` where it is unknown or tables are concerned, which is always
    /// right.
    pub leaf_size: Option<PageSize>,
    /// The size that the caller has promised of every leaf entry, whether tables are concerned or not. For architectures that invalidate
    /// leaf entries and tables by instructions of their own.
    pub promised_size: Option<PageSize>,
}

impl From<&Flush> for Entries {
    fn from(flush: &Flush) -> Self {
        Self {
            depth: flush.depth(),
            leaf_size: flush.known_leaf_size(),
            promised_size: flush.promised_leaf_size(),
        }
    }
}

/// How entries get invalidated on the other CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Delivery {
    /// One CPU's instruction reaches all.
    Broadcast,
    /// Each CPU invalidates its own when it is asked, through its mailbox.
    Asked,
    /// One CPU's instruction reaches those that use the identifier; CPUs that still run the space under one of their own are
    /// asked as well.
    Both,
}

/// How a CPU stands to an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Presence {
    /// It does not run the space, and compares generations before it does.
    Elsewhere,
    /// Its root is loaded and nobody runs it: its walker may read the tables, and it compares generations before the space runs
    /// again.
    Lazy,
    /// It runs the space under an identifier that broadcasts reach.
    Reached,
    /// It runs the space, or is about to.
    Running,
}

/// One flush as it was issued: what a completion may have to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Issued {
    /// Of user mappings under this identifier.
    User(HardwareId, Flush),
    /// Of kernel mappings; where it covers all, of everything there is.
    Kernel(Flush),
}

impl Issued {
    /// Everything there is.
    pub const EVERYTHING: Self = Self::Kernel(Flush::all());

    /// Which half it concerns.
    pub const fn half(&self) -> Half {
        match self {
            Self::User(..) => Half::User,
            Self::Kernel(_) => Half::Kernel,
        }
    }
}

/// What was issued is not known to be complete on the other CPUs: whoever carries it out on their behalf has not done so. Issued
/// again, it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Unproven;

/// Why an address space could not be given an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum IdError {
    /// Every identifier is in use on some CPU or pinned.
    Exhausted,
    /// The CPU is beyond the capacity of the per-CPU tables.
    UnknownCpu,
}

impl fmt::Display for IdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhausted => "every address-space identifier is in use",
            Self::UnknownCpu => "the CPU is beyond the capacity of the per-CPU tables",
        })
    }
}

impl core::error::Error for IdError {}

/// Why a CPU may not join the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum JoinError {
    /// The CPU is beyond the capacity of the per-CPU tables.
    UnknownCpu,
    /// The CPU lacks a feature that the others already rely on, named here as its architecture names it. It must not run.
    MissingFeature(&'static str),
    /// The crate does not know this CPU, named by its version as the architecture codes it, and so not what it needs.
    UnsupportedCpu(u32),
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownCpu => f.write_str("the CPU is beyond the capacity of the per-CPU tables"),
            Self::MissingFeature(name) => write!(f, "the CPU lacks {name}, which is in use"),
            Self::UnsupportedCpu(version) => {
                write!(f, "CPUs of version {version:#x} are not known")
            }
        }
    }
}

impl core::error::Error for JoinError {}

/// One CPU architecture.
///
/// The engine decides *what* is flushed and *who* must answer; this trait is *how*. Its methods issue instructions and
/// return; only completions wait. Between the first issue and its completion the caller stays on its CPU.
///
/// # Implementation safety
/// Memory is freed on this trait's word, so implementors promise:
/// * After [`store_barrier`](Self::store_barrier), every earlier store of this CPU is visible to the table walkers of every
///   CPU that `reach` names, and later loads of this CPU are not satisfied before that.
/// * After [`complete_local`](Self::complete_local), every entry that the local operations issued since the last completion cover is
///   gone from this CPU, and no access through such an entry is still under way there; after
///   [`complete_broadcast`](Self::complete_broadcast) has returned `Ok`, the same holds of the broadcast ones and every CPU.
/// * An operation covers at least what it is asked to cover. Where the architecture does not broadcast, `Reach::Broadcast`
///   is never passed.
///
/// # Context
/// Interrupts on or off, locks held; the caller is pinned to its CPU.
pub unsafe trait Arch: Sync {
    /// The identifiers of one address space. Lives in `AddressSpace`.
    type Space: Sync + Default;

    /// Takes the executing CPU's features and errata into account: features in use are the intersection over all CPUs, errata
    /// the union. Called on that CPU with interrupts off, before it walks any table that may be flushed.
    ///
    /// # Errors
    /// [`JoinError`]; the CPU must then not go on.
    fn join(&self, cpu: CpuId) -> Result<(), JoinError>;

    /// How entries under this identifier are invalidated on other CPUs; `None`: kernel mappings, which are never
    /// [`Delivery::Both`].
    fn delivery(&self, id: Option<HardwareId>) -> Delivery;

    /// Whether CPUs compare the generation of a space's tables with that of their entries. The engine then raises the space's
    /// generation with every change.
    fn compares_generations(&self) -> bool {
        false
    }

    /// Whether a page fault drops the entry that caused it, so that a spurious fault needs no invalidation.
    fn faults_drop_entries(&self) -> bool {
        false
    }

    /// What a change of page tables asks for on this machine. A pure function, for any context.
    fn decide(&self, reason: Reason) -> Decision {
        Decision::on_any_machine(reason)
    }

    /// How another CPU stands to a space, asked after the generation was raised: whoever is `Elsewhere` or `Lazy` here reads a
    /// generation at least that high before it runs the space.
    fn presence(&self, cpu: CpuId, space: SpaceId, id: HardwareId) -> Presence {
        let _ = (cpu, space, id);
        Presence::Running
    }

    /// Whether the CPU, a member of the space, holds nothing of it: it can be taken out of the set, provided that it still says so
    /// afterwards.
    fn holds_nothing(&self, cpu: CpuId, space: SpaceId, id: HardwareId) -> bool {
        self.presence(cpu, space, id) == Presence::Elsewhere
    }

    /// Whether CPUs that are no members of a space hold nothing of it, so that a flush of a space without members has nothing to do.
    fn only_members_hold_entries(&self) -> bool {
        false
    }

    /// Whether members of the space may have let go of it since they were asked, so that it is worth looking at each of them.
    fn may_have_let_go(&self, space: &Self::Space) -> bool {
        let _ = space;
        false
    }

    /// A flush was broadcast. `idle`: this CPU runs the space and no other does. True where those others are to be asked to let go
    /// of it, so that later flushes can stay local; the flush at hand does not wait for them.
    fn asks_to_let_go(&self, space: &Self::Space, idle: bool) -> bool {
        let _ = (space, idle);
        false
    }

    /// Checks that an entry can have this size.
    ///
    /// # Errors
    /// [`RangeError::UnsupportedSize`].
    fn check_leaf_size(&self, size: PageSize) -> Result<(), RangeError> {
        let _ = size;
        Ok(())
    }

    /// Checks that the addresses can be translated by this machine, all of them in the same half.
    ///
    /// # Errors
    /// [`RangeError::NonCanonical`].
    fn check_range(&self, half: Half, pages: &PageRange) -> Result<(), RangeError>;

    /// Makes earlier page-table stores visible to every walker that `reach` names.
    fn store_barrier(&self, reach: Reach, cost: &mut Cost);

    /// Makes it visible that this CPU joins a space before the CPU's first walk of it, and orders later loads after that.
    fn membership_barrier(&self, cost: &mut Cost) {
        self.store_barrier(Reach::Broadcast, cost);
    }

    /// The identifier that the space's entries carry now. Read after [`store_barrier`](Self::store_barrier): an identifier given
    /// later is clean, and walks made under it see the new entries. `None` where the space has never run.
    fn hardware_id(&self, space: &Self::Space) -> Option<HardwareId>;

    /// Issues invalidations of these user pages.
    fn flush_tlb_range(
        &self,
        id: HardwareId,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    );

    /// Issues an invalidation of everything tagged with this identifier, walk caches included.
    fn flush_tlb_space(&self, id: HardwareId, reach: Reach, cost: &mut Cost);

    /// Issues invalidations of these kernel pages for every identifier.
    fn flush_tlb_kernel_range(
        &self,
        pages: &PageRange,
        entries: Entries,
        reach: Reach,
        cost: &mut Cost,
    );

    /// Issues an invalidation of everything: every identifier, kernel mappings and walk caches.
    fn flush_tlb_all(&self, reach: Reach, cost: &mut Cost);

    /// Waits until the local operations issued by this CPU are complete. `issued` are the flushes since the last completion.
    fn complete_local(&self, issued: impl IntoIterator<Item = Issued>, cost: &mut Cost);

    /// Waits until the operations issued by this CPU are complete everywhere. `issued` are the flushes since the last completion,
    /// one or, where they were gathered, several.
    ///
    /// # Errors
    /// [`Unproven`], on machines where somebody else may have to do it: issue them again.
    fn complete_broadcast(
        &self,
        issued: impl IntoIterator<Item = Issued> + Clone,
        cost: &mut Cost,
    ) -> Result<(), Unproven>;

    /// The completion that belongs to this reach.
    ///
    /// # Errors
    /// As for [`complete_broadcast`](Self::complete_broadcast).
    fn complete(
        &self,
        issued: impl IntoIterator<Item = Issued> + Clone,
        reach: Reach,
        cost: &mut Cost,
    ) -> Result<(), Unproven> {
        match reach {
            Reach::Local => {
                self.complete_local(issued, cost);
                Ok(())
            }
            Reach::Broadcast => self.complete_broadcast(issued, cost),
        }
    }

    /// Brings the entries that this CPU holds of a space up to a change, completely. Called with interrupts off.
    fn catch_up(&self, cpu: CpuId, change: &Change, cost: &mut Cost) {
        let _ = cpu;
        match change.flush.range() {
            FlushRange::All => self.flush_tlb_space(change.id, Reach::Local, cost),
            FlushRange::Pages(pages) => {
                let entries = Entries::from(&change.flush);
                self.flush_tlb_range(change.id, pages, entries, Reach::Local, cost);
            }
        }
        self.complete_local([Issued::User(change.id, change.flush)], cost);
    }

    /// Brings the entries that this CPU holds of kernel mappings up to a change, completely. Called with interrupts off, where
    /// they are not broadcast.
    fn catch_up_kernel(&self, cpu: CpuId, flush: &Flush, cost: &mut Cost) {
        let _ = cpu;
        match flush.range() {
            FlushRange::All => self.flush_tlb_all(Reach::Local, cost),
            FlushRange::Pages(pages) => {
                self.flush_tlb_kernel_range(pages, Entries::from(flush), Reach::Local, cost);
            }
        }
        self.complete_local([Issued::Kernel(*flush)], cost);
    }

    /// Drops whatever this CPU holds of the space that it has loaded, which may be one of several that have changed; of the others it
    /// finds out when it runs them again. Called with interrupts off, where CPUs are asked.
    fn catch_up_loaded(&self, cpu: CpuId, cost: &mut Cost) {
        let _ = cpu;
        self.flush_tlb_all(Reach::Local, cost);
        self.complete_local([Issued::EVERYTHING], cost);
    }

    /// Drops whatever this CPU holds of a space that nobody runs any more, completely. Called with interrupts off.
    fn forget(&self, cpu: CpuId, space: SpaceId, id: HardwareId, cost: &mut Cost) {
        let _ = (cpu, space);
        self.flush_tlb_space(id, Reach::Local, cost);
        self.complete_local([Issued::User(id, Flush::all())], cost);
    }

    /// Drops everything that this CPU holds, from within an NMI: touches nothing that the code under it may be changing. False
    /// where it cannot vouch for that now.
    fn flush_in_nmi(&self, cpu: CpuId) -> bool {
        let _ = cpu;
        false
    }

    /// Gives the space an identifier that is clean on `cpu`, flushing that CPU where a rollover asks for it. Called with
    /// interrupts off, before the CPU loads the space's root. From here on [`presence`](Self::presence) is `Running`.
    ///
    /// `fresh` is called while the new identifier is not yet visible to any other CPU, where the space gets one that no TLB
    /// holds entries of.
    ///
    /// # Errors
    /// [`IdError`]; the CPU must then not load the root.
    fn activate(
        &self,
        cpu: CpuId,
        space: &Self::Space,
        fresh: &mut dyn FnMut(),
        cost: &mut Cost,
    ) -> Result<HardwareId, IdError>;

    /// Second half of a switch, after membership was published: takes the generation that was read since, and gives what the
    /// kernel loads with the root. Called with interrupts off.
    fn enter(
        &self,
        cpu: CpuId,
        space: SpaceId,
        hardware: &Self::Space,
        id: HardwareId,
        generation: u64,
    ) -> HardwareId {
        let _ = (cpu, space, hardware, generation);
        id
    }

    /// First half of a switch to a root of the kernel's own; gives what the kernel loads with it. Called with interrupts off.
    fn enter_kernel(&self, cpu: CpuId) -> HardwareId {
        let _ = cpu;
        HardwareId(0)
    }

    /// The root of the last [`enter`](Self::enter) or [`enter_kernel`](Self::enter_kernel) is loaded. Called with interrupts off.
    fn root_loaded(&self, cpu: CpuId) {
        let _ = cpu;
    }

    /// From now on the CPU keeps the root loaded for nobody. Called with interrupts off.
    fn enter_lazy(&self, cpu: CpuId) {
        let _ = cpu;
    }

    /// Whether this CPU keeps the space's root loaded for nobody.
    fn is_lazy(&self, cpu: CpuId, space: SpaceId) -> bool {
        let _ = (cpu, space);
        false
    }

    /// This CPU has loaded a root of the kernel's own where it had one loaded for nobody. Called with interrupts off.
    fn left_borrowed_root(&self, cpu: CpuId) {
        let _ = cpu;
    }

    /// A flush of this space had to ask so many CPUs. An architecture that knows a cheaper way may take it from now on. Called
    /// with interrupts off.
    fn was_asked_for(&self, space: &Self::Space, cpus: usize) {
        let _ = (space, cpus);
    }

    /// A flush of this space that was [`Delivery::Both`] found nobody but those that broadcasts reach, and those that are elsewhere.
    fn is_reached_everywhere(&self, space: &Self::Space) {
        let _ = space;
    }

    /// An IOMMU that snoops the CPUs' broadcasts is about to be attached to the space.
    fn snooper_added(&self, space: &Self::Space) {
        let _ = space;
    }

    /// Such an IOMMU has been detached, and holds nothing of the space.
    fn snooper_removed(&self, space: &Self::Space) {
        let _ = space;
    }

    /// Gives the identifier of a retired space back. Everything tagged with it has been flushed everywhere, and no CPU runs it.
    /// Called with interrupts off.
    fn retire(&self, space: &Self::Space);

    /// Executed by the context switch before the outgoing task may run elsewhere: completes whatever it had issued on this CPU.
    fn before_migration(&self, cost: &mut Cost);
}
