//! A transaction's way through the unit (3.4): context, PASID, TLB, walk.

use super::config::{Bad, Pasid, Reader};
use super::fault;
use super::request::{Outcome, Refused, Request};
use super::unit::Vtd;
use crate::ground::Ground;
use crate::memory::Format;
use crate::memory::descriptor::{Leaf, Rights};
use crate::memory::walk::Start;
use crate::oracle::Holder;
use crate::tlb::{Addresses, Context, Entry, Regime, Scope};

impl From<Bad> for Refused {
    fn from(bad: Bad) -> Self {
        Self {
            reason: bad.reason,
            recorded: !bad.quiet,
        }
    }
}

impl Vtd {
    /// Translates, and records the fault where there is one to record.
    pub(super) fn translate(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        let outcome = self.try_translate(request, ground);
        if let Err(refused) = outcome
            && refused.recorded
        {
            self.record(refused.reason, request);
        }
        outcome
    }

    fn try_translate(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        if !self.registers.translating() {
            return Ok(Outcome::Bypass);
        }
        let (pasid, entry) = self.configuration(request, ground)?;
        // Answers to translation requests carry what they lack; they are no faults (7.3).
        let fault = |reason| Refused {
            reason,
            recorded: !entry.quiet() && !request.ats,
        };
        if !is_canonical(request.va, entry.five_levels()) {
            return Err(fault(fault::NOT_CANONICAL));
        }
        let context = context(&entry, pasid);
        let found = self.look_up(&context, request, ground);
        let (entry, leaf) = found.ok_or(fault(fault::NOT_PRESENT))?;
        if !leaf.user {
            return Err(fault(fault::NOT_USER));
        }
        if lacks(request, &leaf) {
            return Err(fault(fault::NOT_WRITABLE));
        }
        Ok(Outcome::Translated(entry, leaf))
    }

    /// What a device translated itself passes only while its context entry is there and allows it device TLBs (4.2.3, 9.4 DTE).
    pub(super) fn admit_translated(&mut self, sid: u16, ground: &Ground) -> Result<(), Refused> {
        let root = self.registers.root();
        let root = root.ok_or(Refused {
            reason: fault::BAD_ROOT,
            recorded: true,
        })?;
        let reader = Reader {
            view: &mut self.view,
            memory: &ground.memory,
            options: &self.options,
        };
        let context = self.caches.context(root, sid, reader)?;
        if context.device_tlb() {
            return Ok(());
        }
        Err(Refused {
            reason: fault::NO_DEVICE_TLB,
            recorded: !context.quiet(),
        })
    }

    /// The PASID that the request runs under, and its entry.
    fn configuration(
        &mut self,
        request: &Request,
        ground: &Ground,
    ) -> Result<(u32, Pasid), Refused> {
        let sid = request.sid;
        let refused = |reason, quiet: bool| Refused {
            reason,
            recorded: !quiet,
        };
        let root = self.registers.root();
        let root = root.ok_or(refused(fault::BAD_ROOT, false))?;
        let Self {
            caches,
            view,
            options,
            ..
        } = self;
        let memory = &ground.memory;
        let reader = Reader {
            view: &mut *view,
            memory,
            options,
        };
        let context = caches.context(root, sid, reader)?;
        if request.ats && !context.device_tlb() {
            return Err(refused(fault::NO_DEVICE_TLB, context.quiet()));
        }
        if request.pasid.is_some() && !context.pasids() {
            return Err(refused(fault::NO_PASIDS, context.quiet()));
        }
        let pasid = request.pasid.unwrap_or(context.rid_pasid);
        let reader = Reader {
            view,
            memory,
            options,
        };
        Ok((pasid, caches.pasid(&context, sid, pasid, reader)?))
    }

    fn look_up(
        &mut self,
        context: &Context,
        request: &Request,
        ground: &mut Ground,
    ) -> Option<(Entry, Leaf)> {
        let (holder, va) = (Holder::Iommu(self.index), request.va);
        let weaker = |(_, leaf): (Entry, Leaf)| lacks(request, &leaf);
        if self.options.rewalks && self.tlb.leaf(context, va).is_some_and(weaker) {
            self.tlb.invalidate(&leaf_at(context, va));
        }
        let view = &mut self.view;
        self.tlb
            .look_up_by(
                |at, memory| view.read(at, memory),
                holder,
                context,
                va,
                ground,
            )
            .ok()
    }
}

/// The leaf entries that translate one address.
fn leaf_at(context: &Context, va: u64) -> Scope {
    Scope::Addresses(Addresses {
        regime: context.regime,
        asid: Some(context.asid),
        first: va,
        last: va,
        leaf_only: true,
        level: None,
        whole: false,
    })
}

/// A write to what may only be read; translation requests are told so instead.
fn lacks(request: &Request, leaf: &Leaf) -> bool {
    request.write && leaf.rights == Rights::ReadOnly && !request.ats
}

/// The upper bits repeat the highest that is translated.
fn is_canonical(va: u64, five_levels: bool) -> bool {
    let unused = if five_levels { 7 } else { 16 };
    ((va << unused) as i64 >> unused) as u64 == va
}

fn context(entry: &Pasid, pasid: u32) -> Context {
    Context {
        regime: Regime::Vtd { domain: entry.did },
        asid: pasid,
        private: false,
        root: Start {
            format: Format::VtdFirstStage,
            level: if entry.five_levels() { -1 } else { 0 },
            table: entry.root(),
        },
    }
}
