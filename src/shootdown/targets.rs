//! Which CPUs a flush of user mappings has to ask.

use super::Shootdown;
use super::start::Scope;
use crate::arch::{Arch, HardwareId, Presence, Reach};
use crate::cost::Cost;
use crate::cpu_set::{CpuId, CpuSet};
use crate::defects::Defect;
use crate::flush::Depth;
use crate::mailbox::Request;
use crate::platform::Platform;
use crate::space::AddressSpace;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// The other CPUs that have to invalidate before a flush is complete: lazy ones are asked only where their walkers may meet
    /// freed tables.
    pub(crate) fn to_ask(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        scope: &Scope<WORDS>,
        id: HardwareId,
        depth: Depth,
    ) -> CpuSet<WORDS> {
        self.others(space, scope, id, |presence| match presence {
            Presence::Running => !Defect::OthersNotAsked.is_put_back(),
            Presence::Lazy => {
                depth == Depth::Tables && !Defect::LazyNotAskedForTables.is_put_back()
            }
            Presence::Reached | Presence::Elsewhere => false,
        })
    }

    /// The other CPUs that may have the root loaded.
    pub(super) fn to_leave(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        scope: &Scope<WORDS>,
        id: HardwareId,
    ) -> CpuSet<WORDS> {
        self.others(space, scope, id, |presence| match presence {
            Presence::Elsewhere => false,
            Presence::Lazy => !Defect::RootKeptByBorrowers.is_put_back(),
            Presence::Running | Presence::Reached => true,
        })
    }

    /// Whether broadcasts reach every member that runs the space or walks its tables.
    pub(crate) fn all_reached(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        scope: &Scope<WORDS>,
        id: HardwareId,
    ) -> bool {
        scope.cpus.iter().all(|cpu| {
            let presence = self.arch.presence(cpu, space.id(), id);
            matches!(presence, Presence::Reached | Presence::Elsewhere)
        })
    }

    /// The other members that stand to the space in a way that is wanted. Those that are elsewhere compare generations before they
    /// run it again.
    fn others(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        scope: &Scope<WORDS>,
        id: HardwareId,
        is_wanted: impl Fn(Presence) -> bool,
    ) -> CpuSet<WORDS> {
        let mut asked = scope.cpus;
        asked.remove(scope.me);
        let mut absent = CpuSet::EMPTY;
        asked.retain(|cpu| {
            let presence = self.arch.presence(cpu, space.id(), id);
            if presence == Presence::Elsewhere && self.arch.holds_nothing(cpu, space.id(), id) {
                absent.insert(cpu);
            }
            is_wanted(presence)
        });
        // Looking at CPUs that are long gone costs a line of each; entering one anew costs a line that all members share.
        if absent.len() > asked.len() {
            self.trim(space, &absent, id);
        }
        asked
    }

    fn trim(&self, space: &AddressSpace<P::Arch, WORDS>, absent: &CpuSet<WORDS>, id: HardwareId) {
        let _irqs_off = self.platform.irq_save();
        space.trim(absent, |cpu: CpuId| {
            self.arch.holds_nothing(cpu, space.id(), id)
        });
    }

    /// The CPUs that may hold entries, without those that have let go of the space since they were asked to.
    pub(super) fn members(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        id: Option<HardwareId>,
    ) -> CpuSet<WORDS> {
        let members = || space.members(|| self.online());
        match id {
            Some(id) if self.arch.may_have_let_go(&space.hardware) => {
                let mut gone = members();
                gone.retain(|cpu| self.arch.holds_nothing(cpu, space.id(), id));
                if !gone.is_empty() {
                    self.trim(space, &gone, id);
                }
                members()
            }
            _ => members(),
        }
    }

    /// After a flush that was broadcast: where no other CPU runs the space, those that ran it are asked to drop what they hold, for
    /// the sake of later flushes. Nobody waits for their answer.
    pub(crate) fn ask_to_let_go(
        &self,
        space: &AddressSpace<P::Arch, WORDS>,
        scope: &Scope<WORDS>,
        id: HardwareId,
        cost: &mut Cost,
    ) {
        if scope.reach == Reach::Local || scope.secondaries.is_snooped() {
            return;
        }
        let mut others = scope.cpus;
        others.remove(scope.me);
        let is_idle = |cpu| {
            let presence = self.arch.presence(cpu, space.id(), id);
            matches!(presence, Presence::Lazy | Presence::Elsewhere)
        };
        let idle = scope.cpus.contains(scope.me) && others.iter().all(is_idle);
        if self.arch.asks_to_let_go(&space.hardware, idle) {
            let request = Request::LetGo {
                space: space.id(),
                id,
            };
            self.post(&others, &request, cost);
        }
    }
}
