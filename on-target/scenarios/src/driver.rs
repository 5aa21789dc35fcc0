//! Plays one case to one observer, without and with the invalidation.

use crate::script::{Becomes, Script, Use};
use crate::{
    Access, Case, Cell, Cost, Failure, Frame, Machine, Observer, PAGES, Page, Refusal, Seen,
};

/// How often a control may be repeated: an emulated TLB may have evicted the entry by itself.
pub const MAX_TRIES: u32 = 3;

/// What the words in memory say about who wrote them: marker and page.
const ORIGINAL: u64 = 0x0a00;
const REPLACEMENT: u64 = 0x0b00;
const TOUCHED: u64 = 0x0c00;
const CHECKED: u64 = 0x0d00;

/// Plays `case` to `observer`: the control until it shows something (at most [`MAX_TRIES`] times), then the cure.
///
/// # Errors
/// The machine's own, and whatever no TLB explains: a touch that failed, a word from nowhere, a refusal for a reason
/// that neither table gives.
pub fn run<M: Machine>(
    machine: &mut M,
    case: Case,
    observer: Observer,
) -> Result<Cell, Failure<M::Error>> {
    let hidden = machine.yardstick().hides(case, observer);
    let most = if hidden { 1 } else { MAX_TRIES };
    let mut tries = 0;
    let control = loop {
        tries += 1;
        let trial = play(machine, case, observer, false)?;
        if trial.seen != Seen::Fresh || tries == most {
            break trial;
        }
    };
    let cure = play(machine, case, observer, true)?;
    let without = match control.seen {
        Seen::Fresh if hidden => Seen::Unseen,
        seen => seen,
    };
    Ok(Cell {
        case,
        observer,
        without,
        refusal: control.refusal,
        with: cure.seen,
        cost: cure.cost,
        tries,
    })
}

/// What one play of a case gave.
struct Trial {
    seen: Seen,
    refusal: Option<Refusal>,
    cost: Cost,
}

/// Touch, change, flush or not, check; nothing else in between, as an emulated TLB forgets.
fn play<M: Machine>(
    machine: &mut M,
    case: Case,
    observer: Observer,
    cured: bool,
) -> Result<Trial, Failure<M::Error>> {
    let script = Script::of(case);
    machine.reset(observer)?;
    for &page in script.pages {
        machine.fill(Frame(page.0), ORIGINAL | u64::from(page.0));
        machine.fill(Frame(page.0 + PAGES), REPLACEMENT | u64::from(page.0));
        machine.change(page, Some(script.mapping_before(page)))?;
    }
    for &page in script.pages {
        touch(machine, &script, observer, page)?;
    }
    let cost = change(machine, &script, cured)?;

    let mut seen = Seen::Fresh;
    let mut refusal = None;
    for &page in script.pages {
        match check(machine, &script, observer, page)? {
            (Seen::Fresh, _) => {}
            (worse, why) if seen != Seen::Stale => (seen, refusal) = (worse, why),
            _ => {}
        }
    }
    Ok(Trial {
        seen,
        refusal,
        cost,
    })
}

fn touch<M: Machine>(
    machine: &mut M,
    script: &Script,
    observer: Observer,
    page: Page,
) -> Result<(), Failure<M::Error>> {
    let (access, expected) = match script.touch {
        Use::Read => (machine.read(observer, page)?, ORIGINAL | u64::from(page.0)),
        Use::Write => {
            let word = TOUCHED | u64::from(page.0);
            (
                machine.write(observer, page, word)?,
                machine.word(Frame(page.0)),
            )
        }
    };
    if access == Access::Done(expected) {
        Ok(())
    } else {
        Err(Failure::Touch { page, access })
    }
}

/// Changes every page of the script. A new frame takes the old one's place by way of an invalid entry, with the flush in
/// between: some architectures demand that order (break-before-make), none forbids it.
fn change<M: Machine>(
    machine: &mut M,
    script: &Script,
    cured: bool,
) -> Result<Cost, Failure<M::Error>> {
    let break_first = script.becomes == Becomes::OtherFrame;
    for &page in script.pages {
        let mapping = script.mapping_after(page).filter(|_| !break_first);
        machine.change(page, mapping)?;
    }
    let cost = if cured {
        machine.flush(script.flush)?
    } else {
        Cost::ZERO
    };
    if break_first {
        for &page in script.pages {
            machine.change(page, script.mapping_after(page))?;
        }
    }
    Ok(cost)
}

fn check<M: Machine>(
    machine: &mut M,
    script: &Script,
    observer: Observer,
    page: Page,
) -> Result<(Seen, Option<Refusal>), Failure<M::Error>> {
    let number = u64::from(page.0);
    let access = match script.check {
        Use::Read => machine.read(observer, page)?,
        Use::Write => machine.write(observer, page, CHECKED | number)?,
    };
    let landed = script.check == Use::Read || machine.word(Frame(page.0)) == CHECKED | number;
    let unexplained = Failure::Check { page, access };
    if access == Access::Refused(Refusal::Unreported) && !machine.yardstick().silent {
        return Err(unexplained);
    }
    name(script.becomes, access, number, landed).ok_or(unexplained)
}

/// The word for `access` to a page that became what `becomes` says; `None` where neither table explains it.
fn name(
    becomes: Becomes,
    access: Access,
    number: u64,
    landed: bool,
) -> Option<(Seen, Option<Refusal>)> {
    use Refusal::{Permission, Translation, Unreported};
    let seen = match (becomes, access) {
        (Becomes::Unmapped, Access::Refused(Translation | Unreported)) => Seen::Fresh,
        (Becomes::Unmapped, Access::Done(word)) if word == ORIGINAL | number => Seen::Stale,
        (Becomes::ReadOnly, Access::Refused(Permission | Unreported)) if !landed => Seen::Fresh,
        (Becomes::ReadOnly, Access::Done(_)) if landed => Seen::Stale,
        (Becomes::Writable, Access::Done(_)) if landed => Seen::Fresh,
        (Becomes::Writable, Access::Refused(why)) if !landed => {
            return Some((Seen::Fault, Some(why)));
        }
        (Becomes::OtherFrame, Access::Done(word)) if word == REPLACEMENT | number => Seen::Fresh,
        (Becomes::OtherFrame, Access::Done(word)) if word == ORIGINAL | number => Seen::Stale,
        (Becomes::OtherFrame, Access::Refused(why)) => return Some((Seen::Fault, Some(why))),
        _ => return None,
    };
    Some((seen, None))
}
