//! A transaction's way through the IOMMU: device table, GCR3 table, TLB, walk.

use super::device_table::Entry as DeviceEntry;
use super::event;
use super::iommu::Iommu;
use super::request::{Outcome, Refused, Request};
use crate::ground::Ground;
use crate::memory::Format;
use crate::memory::descriptor::Rights;
use crate::memory::walk::Start;
use crate::oracle::Holder;
use crate::tlb::{Context, Regime};

impl Iommu {
    /// Translates, and records the event where there is one to record.
    pub(super) fn translate(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        let outcome = self.try_translate(request, ground);
        outcome.map_err(|refused| self.record_refusal(refused, request, ground))
    }

    /// A request whose address the device translated itself: the entry must let it through.
    pub(super) fn let_through(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<(), Refused> {
        let lets = |entry: DeviceEntry| {
            let refused = entry.valid && !entry.device_tlb;
            (!refused)
                .then_some(())
                .ok_or(always(event::INVALID_REQUEST, entry.domain))
        };
        let outcome = self.device_entry(request, ground).and_then(lets);
        outcome.map_err(|refused| self.record_refusal(refused, request, ground))
    }

    fn record_refusal(
        &mut self,
        refused: Refused,
        request: &Request,
        ground: &mut Ground,
    ) -> Refused {
        if refused.recorded {
            let words = event::refused(refused.code, request, refused.domain, refused.permission);
            self.record(words, ground);
        }
        refused
    }

    /// The device's entry, as far as it makes sense.
    fn device_entry(&mut self, request: &Request, ground: &Ground) -> Result<DeviceEntry, Refused> {
        let table = self.registers.device_table;
        self.entries
            .entry(table, request.device, &ground.memory)
            .filter(|entry| !entry.valid || self.is_legal(entry))
            .ok_or(always(event::ILLEGAL_ENTRY, 0))
    }

    /// The same without a record.
    pub(super) fn try_translate(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        if !self.registers.enabled() {
            return Ok(Outcome::Bypass);
        }
        let entry = self.device_entry(request, ground)?;
        if !entry.valid {
            return Ok(Outcome::Bypass);
        }
        if request.ats && !entry.device_tlb {
            return Err(always(event::INVALID_REQUEST, entry.domain));
        }
        if !entry.translates {
            return Err(fault(&entry, request, false));
        }
        match self.context(&entry, request, ground)? {
            Some(context) => self.look_up(&entry, &context, request, ground),
            None if allows(&entry, request) => Ok(Outcome::Bypass),
            None => Err(fault(&entry, request, true)),
        }
    }

    /// Nothing is set that is reserved, or that this IOMMU does not have. Guest translation on top of host translation and host tables of more
    /// than four levels are not modelled.
    fn is_legal(&self, entry: &DeviceEntry) -> bool {
        let guest = !entry.guest
            || (self.options.gt
                && self.registers.guest_enabled()
                && entry.mode == 0
                && 4 + entry.guest_mode <= self.options.guest_levels
                && entry.gcr3_levels <= self.options.gcr3_levels);
        let plain_is_zero = !entry.plain_is_zero || self.options.giov;
        !entry.malformed && entry.mode <= 4 && guest && plain_is_zero
    }

    /// Which table serves the request; nothing where the address is physical.
    fn context(
        &mut self,
        entry: &DeviceEntry,
        request: &Request,
        ground: &Ground,
    ) -> Result<Option<Context>, Refused> {
        let plain = (entry.guest && entry.plain_is_zero).then_some(0);
        let Some(pasid) = request.pasid.or(plain) else {
            return Ok((entry.mode != 0).then(|| host_context(entry)));
        };
        if !entry.guest {
            return Err(always(event::INVALID_REQUEST, entry.domain));
        }
        let absent = self.options.caches_absent_roots;
        let root = self.roots.root(entry, pasid, absent, &ground.memory);
        root.filter(|_| pasid >> self.options.pasid_bits == 0)
            .map(|root| Some(guest_context(entry, pasid, root)))
            .ok_or(fault(entry, request, false))
    }

    fn look_up(
        &mut self,
        entry: &DeviceEntry,
        context: &Context,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        let host = matches!(context.regime, Regime::AmdHost { .. });
        if !is_in_range(context, request.va) {
            return Err(fault(entry, request, false));
        }
        let holder = Holder::Iommu(self.index);
        let (found, leaf) = self
            .tlb
            .look_up(holder, context, request.va, ground)
            .map_err(|_| fault(entry, request, false))?;
        let writes = !request.write || leaf.rights == Rights::ReadWrite;
        let permitted = leaf.user && (request.ats || writes) && (!host || allows(entry, request));
        if !permitted {
            return Err(fault(entry, request, true));
        }
        Ok(Outcome::Translated(found, leaf))
    }
}

/// IR and IW of the device table entry.
fn allows(entry: &DeviceEntry, request: &Request) -> bool {
    entry.reads && (request.ats || !request.write || entry.writes)
}

/// Host addresses are as long as the levels of their table, guest ones are canonical.
fn is_in_range(context: &Context, va: u64) -> bool {
    match context.root.format {
        Format::AmdHost => va >> (12 + 9 * (4 - context.root.level)) == 0,
        _ => {
            let unused = 16 + 9 * context.root.level;
            (va as i64) << unused >> unused == va as i64
        }
    }
}

fn host_context(entry: &DeviceEntry) -> Context {
    Context {
        regime: Regime::AmdHost {
            domain: entry.domain,
        },
        asid: 0,
        private: false,
        root: Start {
            format: Format::AmdHost,
            level: 4 - entry.mode as i8,
            table: entry.host_root,
        },
    }
}

fn guest_context(entry: &DeviceEntry, pasid: u32, root: u64) -> Context {
    Context {
        regime: Regime::AmdGuest {
            domain: entry.domain,
            pasid,
        },
        asid: 0,
        private: false,
        root: Start {
            format: Format::X86,
            level: -(entry.guest_mode as i8),
            table: root,
        },
    }
}

/// Recorded whoever asked.
const fn always(code: u8, domain: u16) -> Refused {
    Refused {
        code,
        domain,
        permission: false,
        recorded: true,
    }
}

/// IO_PAGE_FAULT: recorded for transactions, answered to translation requests.
fn fault(entry: &DeviceEntry, request: &Request, permission: bool) -> Refused {
    Refused {
        code: event::PAGE_FAULT,
        domain: entry.domain,
        permission,
        recorded: !request.ats,
    }
}
