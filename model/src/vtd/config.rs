//! Root, context and PASID-table entries (9.1 to 9.6), and the caches of the latter two, which their invalidations alone empty (6.2).

use super::command::{Command, Contexts, Pasids};
use super::options::VtdOptions;
use super::view::View;
use crate::memory::Memory;
use alloc::collections::BTreeMap;

/// A refusal: the fault reason (7.2.3), and FPD: whether it is kept quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) reason: u8,
    pub(super) quiet: bool,
}

const fn bad(reason: u8) -> Bad {
    Bad {
        reason,
        quiet: false,
    }
}

/// A scalable-mode context entry (9.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Context {
    word: u64,
    pub(super) rid_pasid: u32,
}

/// A scalable-mode PASID-table entry (9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pasid {
    word: u64,
    pub(super) did: u16,
    first_stage: u64,
}

/// Bit 0, P, and bit 1, FPD, of every entry but the root's, which has no FPD.
const PRESENT: u64 = 1 << 0;
const QUIET: u64 = 1 << 1;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

impl Context {
    /// Bit 2, DTE: device TLBs.
    pub(super) fn device_tlb(&self) -> bool {
        self.word & 1 << 2 != 0
    }

    /// Bit 3, PASIDE: requests with PASID.
    pub(super) fn pasids(&self) -> bool {
        self.word & 1 << 3 != 0
    }

    pub(super) fn quiet(&self) -> bool {
        self.word & QUIET != 0
    }

    fn present(&self) -> bool {
        self.word & PRESENT != 0
    }

    /// Bits 11:9, PDTS: the directory has 2^(PDTS + 7) entries of 64 PASIDs each.
    fn pasid_bits(&self) -> u32 {
        (self.word >> 9 & 0b111) as u32 + 7 + 6
    }
}

impl Pasid {
    fn present(&self) -> bool {
        self.word & PRESENT != 0
    }

    pub(super) fn quiet(&self) -> bool {
        self.word & QUIET != 0
    }

    /// Bits 191:140.
    pub(super) fn root(&self) -> u64 {
        self.first_stage & ADDRESS
    }

    /// Bits 131:130, FSPM: 0 for four levels, 1 for five.
    pub(super) fn five_levels(&self) -> bool {
        self.first_stage >> 2 & 0b11 == 1
    }
}

/// What configuration is cached. Entries that are not present are cached in caching mode alone (6.1).
#[derive(Clone, Debug, Default)]
pub(super) struct Caches {
    contexts: BTreeMap<u16, Context>,
    pasids: BTreeMap<(u16, u32), Pasid>,
}

/// What entries are read with.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    pub(super) view: &'a mut View,
    pub(super) memory: &'a Memory,
    pub(super) options: &'a VtdOptions,
}

impl Reader<'_> {
    fn word(&mut self, pa: u64, reason: u8) -> Result<u64, Bad> {
        self.view.read(pa, self.memory).ok_or(bad(reason))
    }
}

impl Caches {
    /// Applies an invalidation of contexts or PASIDs.
    pub(super) fn invalidate(&mut self, command: &Command) {
        match *command {
            Command::Contexts(Contexts::All) => self.contexts.clear(),
            Command::Contexts(Contexts::Source { sid, masked }) => {
                self.contexts
                    .retain(|known, _| (known ^ sid) & !masked != 0);
            }
            Command::Pasids(Pasids::All) => self.pasids.clear(),
            Command::Pasids(Pasids::Domain(did)) => {
                self.pasids
                    .retain(|_, entry| entry.present() && entry.did != did);
            }
            Command::Pasids(Pasids::One { did, pasid }) => {
                self.pasids.retain(|(_, known), entry| {
                    *known != pasid || (entry.present() && entry.did != did)
                });
            }
            _ => {}
        }
    }

    /// The context of a source id.
    pub(super) fn context(
        &mut self,
        root: u64,
        sid: u16,
        mut reader: Reader<'_>,
    ) -> Result<Context, Bad> {
        let context = match self.contexts.get(&sid) {
            Some(cached) => *cached,
            None => read_context(root, sid, &mut reader)?,
        };
        if context.present() || reader.options.caching_mode {
            self.contexts.insert(sid, context);
        }
        if context.present() {
            Ok(context)
        } else {
            Err(Bad {
                reason: 0x41,
                quiet: context.quiet(),
            })
        }
    }

    /// The entry of a PASID of this context.
    pub(super) fn pasid(
        &mut self,
        context: &Context,
        sid: u16,
        pasid: u32,
        mut reader: Reader<'_>,
    ) -> Result<Pasid, Bad> {
        let entry = match self.pasids.get(&(sid, pasid)) {
            Some(cached) => *cached,
            None => read_pasid(context, pasid, &mut reader)?,
        };
        if entry.present() || reader.options.caching_mode {
            self.pasids.insert((sid, pasid), entry);
        }
        let refuse = |reason| Bad {
            reason,
            quiet: context.quiet() || entry.quiet(),
        };
        if !entry.present() {
            return Err(refuse(0x59));
        }
        // PGTT: first stage alone.
        if entry.word >> 6 & 0b111 != 1 || (entry.five_levels() && !reader.options.five_levels) {
            return Err(refuse(0x5b));
        }
        Ok(entry)
    }
}

/// The root entry's lower half serves functions 0 to 127 of a bus, its upper half the others (9.2).
fn read_context(root: u64, sid: u16, reader: &mut Reader<'_>) -> Result<Context, Bad> {
    let (bus, function) = (u64::from(sid >> 8), u64::from(sid & 0xff));
    let upper = function >> 7;
    let half = reader.word(root + bus * 16 + upper * 8, 0x38)?;
    if half & PRESENT == 0 {
        return Err(bad(0x39));
    }
    if half & !(ADDRESS | PRESENT) != 0 {
        return Err(bad(0x3a));
    }
    let at = (half & ADDRESS) + (function & 0x7f) * 32;
    let mut words = [0; 4];
    for (index, word) in words.iter_mut().enumerate() {
        *word = reader.word(at + index as u64 * 8, 0x40)?;
    }
    let context = Context {
        word: words[0],
        rid_pasid: (words[1] & 0xf_ffff) as u32,
    };
    // Bits 8:5 of the first word, all but RID_PASID and RID_PRIV of the second, and the others.
    let reserved = words[0] & (0xf << 5 | !0 << 52) | words[1] & !0x1f_ffff | words[2] | words[3];
    if context.present() && reserved != 0 {
        return Err(bad(0x42));
    }
    Ok(context)
}

fn read_pasid(context: &Context, pasid: u32, reader: &mut Reader<'_>) -> Result<Pasid, Bad> {
    let quiet = context.quiet();
    let refuse = |reason| Bad { reason, quiet };
    if pasid
        >> context
            .pasid_bits()
            .min(u32::from(reader.options.pasid_bits))
        != 0
    {
        return Err(refuse(0x46));
    }
    let at = (context.word & ADDRESS) + u64::from(pasid >> 6) * 8;
    let directory = reader.word(at, 0x50)?;
    if directory & PRESENT == 0 {
        return Err(Bad {
            reason: 0x51,
            quiet: quiet || directory & QUIET != 0,
        });
    }
    if directory & !(ADDRESS | PRESENT | QUIET) != 0 {
        return Err(refuse(0x52));
    }
    let at = (directory & ADDRESS) + u64::from(pasid & 0x3f) * 64;
    let mut words = [0; 8];
    for (index, word) in words.iter_mut().enumerate() {
        *word = reader.word(at + index as u64 * 8, 0x58)?;
    }
    let entry = Pasid {
        word: words[0],
        did: words[1] as u16,
        first_stage: words[2],
    };
    // Bits 11:10, 86:80, 139:136, and everything from 192 on.
    let reserved = words[0] & (0b11 << 10) | words[1] & (0x7f << 16) | words[2] & (0xf << 8);
    let beyond = words[3..].iter().any(|&word| word != 0);
    if entry.present() && (reserved != 0 || beyond) {
        return Err(refuse(0x5a));
    }
    Ok(entry)
}
