//! The hypervisor of a guest without the right to `tlbie`: its call acts on the machine, or answers as it was told.

use super::flight::Beside;
use crate::lock::Lock;
use crate::model::Model;
use crate::platform::current;
use crate::tlb::{PowerScope, Reach, Scope};
use crate::world::World;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use tlb_shootdown::arch::powerpc::hypervisor::{Hypervisor, HypervisorError, RptInvalidate};

/// Whose caches (PAPR, "H_RPT_INVALIDATE"; Linux' `asm/hvcall.h` has the same bits).
const ALL_CPUS: u64 = 1;
const THIS_CPU: u64 = 2;
const NEST_MMU: u64 = 4;
/// Which caches.
const TRANSLATIONS: u64 = 2;
const WALK_CACHES: u64 = 4;
const PROCESS_TABLE: u64 = 8;
/// Which page sizes, and log2 of them.
const SIZES: [(u64, u8); 4] = [(1, 12), (2, 16), (4, 21), (8, 30)];

/// H_P2, H_P3, H_P4, H_P5: the argument of this number is wrong.
const BAD_TARGET: i64 = -55;
const BAD_KIND: i64 = -56;
const BAD_SIZES: i64 = -57;
const BAD_END: i64 = -58;

/// The hypervisor of a [`Model`]. What it does is complete when the call returns; the caller's stores to tables are its own to make
/// visible before.
#[derive(Debug)]
pub struct ModelHypervisor {
    model: Model,
    answers: Lock<VecDeque<HypervisorError>>,
}

impl ModelHypervisor {
    /// The hypervisor of this machine.
    pub fn new(model: Model) -> Self {
        Self {
            model,
            answers: Lock::new(VecDeque::new()),
        }
    }

    /// The next calls fail with these, one each, and do nothing.
    pub fn fail_next(&self, answers: &[HypervisorError]) {
        self.answers.with(|all| all.extend(answers));
    }
}

// SAFETY: nothing but tests relies on it; after `Ok` the machine's caches are without what the arguments name.
unsafe impl Hypervisor for ModelHypervisor {
    fn rpt_invalidate(&self, call: &RptInvalidate) -> Result<(), HypervisorError> {
        self.model
            .with(|world| world.ground.oracle.counts.hypercalls += 1);
        if let Some(answer) = self.answers.with(VecDeque::pop_front) {
            return Err(answer);
        }
        let scopes = scopes(call).map_err(HypervisorError::Refused)?;
        self.model.with(|world| {
            world.invalidate_for_guest(current::get(), call.target, &scopes);
        });
        Ok(())
    }
}

/// What is bound to go: only the sizes and the kinds that are named. The end is exclusive, but for the end of the address space.
fn scopes(call: &RptInvalidate) -> Result<Vec<PowerScope>, i64> {
    if call.target & !(ALL_CPUS | THIS_CPU | NEST_MMU) != 0 || call.target == 0 {
        return Err(BAD_TARGET);
    }
    // Bit 0 is a nested guest's.
    if call.kind & !(TRANSLATIONS | WALK_CACHES | PROCESS_TABLE) != 0 || call.kind == 0 {
        return Err(BAD_KIND);
    }
    if call.end <= call.start {
        return Err(BAD_END);
    }
    let is_whole = call.start == 0 && call.end == u64::MAX;
    let whole = PowerScope {
        pid: Some(call.pid as u32),
        reach: Reach::Everywhere,
        translations: is_whole && call.kind & TRANSLATIONS != 0,
        walk_caches: call.kind & WALK_CACHES != 0,
        process_table: call.kind & PROCESS_TABLE != 0,
    };
    let mut all = alloc::vec![whole];
    if !is_whole && call.kind & TRANSLATIONS != 0 {
        all.extend(pages(call)?);
    }
    Ok(all)
}

/// One invalidation at the start and at every page's length from there, as KVM goes through a range: of a start that is not aligned the
/// last page may be missed.
fn stepped(call: &RptInvalidate, shift: u8) -> Reach {
    let steps = (call.end - call.start - 1) >> shift;
    Reach::Pages {
        first: call.start,
        last: call.start + (steps << shift),
        shift,
    }
}

fn pages(call: &RptInvalidate) -> Result<Vec<PowerScope>, i64> {
    let named = SIZES.iter().filter(|(bit, _)| call.page_sizes & bit != 0);
    let scopes: Vec<_> = named
        .map(|&(_, shift)| PowerScope {
            pid: Some(call.pid as u32),
            reach: stepped(call, shift),
            translations: true,
            walk_caches: false,
            process_table: false,
        })
        .collect();
    if scopes.is_empty() {
        return Err(BAD_SIZES);
    }
    Ok(scopes)
}

impl World {
    fn invalidate_for_guest(&mut self, caller: usize, target: u64, scopes: &[PowerScope]) {
        let cpus: Vec<usize> = if target & ALL_CPUS != 0 {
            (0..self.cpus.len()).collect()
        } else if target & THIS_CPU != 0 {
            alloc::vec![caller]
        } else {
            Vec::new()
        };
        let overtakes = self.cpus[caller].stores.is_on_its_way(true);
        for scope in scopes {
            if overtakes {
                self.refetch(alloc::vec![(Scope::Power(*scope), cpus.clone())]);
                continue;
            }
            self.strike_thoroughly(&cpus, scope);
            if target & NEST_MMU != 0 {
                self.snoop(&Scope::Power(*scope));
            }
        }
    }

    fn strike_thoroughly(&mut self, cpus: &[usize], scope: &PowerScope) {
        let beside = Beside {
            erat: true,
            stores: true,
        };
        for &index in cpus {
            self.cpus[index].strike(index, scope, beside, &mut self.ground);
        }
    }
}
