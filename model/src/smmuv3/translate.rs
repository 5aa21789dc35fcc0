//! A transaction's way through the SMMU (3.3 and 3.4): stream, context, TLB, walk.

use super::config::{Cd, Ste, StreamTable};
use super::event;
use super::request::{Outcome, Refused, Request};
use super::smmu::Smmu;
use crate::ground::Ground;
use crate::look_up::Missing;
use crate::memory::Format;
use crate::memory::descriptor::{Leaf, Rights};
use crate::memory::walk::Start;
use crate::oracle::Holder;
use crate::tlb::{Context, Entry, Regime};

const fn refused(event: u8) -> Refused {
    Refused {
        event,
        recorded: true,
    }
}

/// Aborted without a record.
const ABORTED: Refused = Refused {
    event: 0,
    recorded: false,
};

impl Smmu {
    /// Translates, and records the event where there is one to record.
    pub(super) fn translate(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        let outcome = self.try_translate(request, ground);
        if let Err(refused) = outcome
            && refused.recorded
        {
            self.record(refused.event, request, ground);
        }
        outcome
    }

    fn try_translate(
        &mut self,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<Outcome, Refused> {
        if !self.registers.enabled() {
            return if self.registers.aborts_when_disabled() {
                Err(ABORTED)
            } else {
                Ok(Outcome::Bypass)
            };
        }
        let ste = self.stream(request, ground)?;
        if ste.config == 0b100 {
            return Ok(Outcome::Bypass);
        }
        let Some(ssid) = substream(&ste, request)? else {
            return Ok(Outcome::Bypass);
        };
        let cd = self
            .caches
            .cd(&ste, request.sid, ssid, &ground.memory)
            .filter(|cd| cd.valid && cd.aarch64 && cd.granule == 0)
            .ok_or(refused(event::BAD_CD))?;
        let (entry, leaf) = self.look_up(&ste, &cd, request, ground)?;
        if !leaf.user || (request.write && leaf.rights == Rights::ReadOnly && !request.ats) {
            return Err(fault(event::PERMISSION, &cd, request));
        }
        Ok(Outcome::Translated(entry, leaf))
    }

    fn stream(&mut self, request: &Request, ground: &Ground) -> Result<Ste, Refused> {
        let table = StreamTable {
            base: self.registers.strtab_base,
            config: self.registers.strtab_cfg,
        };
        let ste = self
            .caches
            .ste(table, request.sid, &ground.memory)
            .ok_or(refused(event::BAD_STREAMID))?;
        match ste.config {
            _ if !ste.valid => Err(refused(event::BAD_STE)),
            0b000 => Err(ABORTED),
            0b101 if request.ats && !ste.ats => Err(refused(event::BAD_ATS_REQUEST)),
            0b100 | 0b101 => Ok(ste),
            _ => Err(refused(event::BAD_STE)),
        }
    }

    fn look_up(
        &mut self,
        ste: &Ste,
        cd: &Cd,
        request: &Request,
        ground: &mut Ground,
    ) -> Result<(Entry, Leaf), Refused> {
        let input_bits = 64 - u32::from(cd.t0sz);
        if cd.walks_disabled || input_bits > 48 || request.va >> input_bits != 0 {
            return Err(fault(event::TRANSLATION, cd, request));
        }
        let context = context(ste, cd, input_bits);
        let found = self
            .tlb
            .look_up(Holder::Iommu(self.index), &context, request.va, ground);
        found.map_err(|missing| {
            let event = match missing {
                Missing::NotAccessed => event::ACCESS,
                Missing::NotPresent => event::TRANSLATION,
            };
            fault(event, cd, request)
        })
    }
}

/// Which context descriptor serves the request; nothing for a bypass (3.4, 5.2 S1DSS and S1CDMax).
fn substream(ste: &Ste, request: &Request) -> Result<Option<u32>, Refused> {
    match (request.ssid, ste.cd_max, ste.default_substream) {
        (None, 0, _) | (None, _, 2) => Ok(Some(0)),
        (None, _, 1) => Ok(None),
        (None, _, _) => Err(refused(event::STREAM_DISABLED)),
        (Some(ssid), max, _) if max == 0 || ssid >> max != 0 => {
            Err(refused(event::BAD_SUBSTREAMID))
        }
        (Some(0), _, 2) => Err(refused(event::STREAM_DISABLED)),
        (Some(ssid), _, _) => Ok(Some(ssid)),
    }
}

/// Faults of stage 1 are recorded where CD.R says so; answers to translation requests never are (3.9.1.2).
fn fault(event: u8, cd: &Cd, request: &Request) -> Refused {
    Refused {
        event,
        recorded: cd.records && !request.ats,
    }
}

fn context(ste: &Ste, cd: &Cd, input_bits: u32) -> Context {
    let level = match input_bits {
        40.. => 0,
        31.. => 1,
        22.. => 2,
        _ => 3,
    };
    Context {
        regime: if ste.el2 { Regime::El2 } else { Regime::El1 },
        asid: cd.asid,
        private: cd.private_asid,
        root: Start {
            format: Format::Vmsa,
            level,
            table: cd.root,
        },
    }
}
