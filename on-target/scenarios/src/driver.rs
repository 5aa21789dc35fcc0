//! Plays one case to one observer, without and with the invalidation.

use crate::change::{Trial, change, prepare};
use crate::judge::{CHECKED, ORIGINAL, TOUCHED, judge};
use crate::script::{Script, Use};
use crate::{Access, Case, Cell, Failure, Frame, Machine, Observer, Page, Refusal, Seen};

/// How often a control may be repeated: an emulated TLB may have evicted the entry by itself.
pub const MAX_TRIES: u32 = 3;

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

/// Touch, change, flush or not, check; nothing else in between, as an emulated TLB forgets.
fn play<M: Machine>(
    machine: &mut M,
    case: Case,
    observer: Observer,
    cured: bool,
) -> Result<Trial, Failure<M::Error>> {
    let script = Script::of(case);
    machine.reset(observer)?;
    prepare(machine, &script)?;
    for &page in script.pages {
        touch(machine, &script, observer, page)?;
    }
    let mut trial = change(machine, &script, observer, cured)?;
    for &page in script.pages {
        match check(machine, &script, observer, page)? {
            (Seen::Fresh, _) => {}
            (worse, why) if trial.seen != Seen::Stale => {
                (trial.seen, trial.refusal) = (worse, why);
            }
            _ => {}
        }
    }
    for &page in script.kept {
        let access = machine.read(observer, page)?;
        if access != Access::Done(ORIGINAL | u64::from(page.0)) {
            return Err(Failure::Check { page, access });
        }
    }
    Ok(trial)
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
    judge(machine, script.becomes, page, access, landed)
}
