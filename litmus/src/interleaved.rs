//! The recorder with a place before each instruction at which another CPU can come in between.
//!
//! The engine's own loads and stores are not recorded. Where one of them lies among the instructions shows in what another CPU that
//! comes in between sees of it, or does to it ([`place`]).

use std::cell::RefCell;
use std::mem;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, ensure};
use tlb_shootdown::arch::aarch64::instructions::Instructions;
use tlb_shootdown_model::recorder::aarch64::{Executed, Identification, Recorder};

type Action = Box<dyn FnOnce()>;

thread_local! {
    /// What comes in between, and before how many more instructions it does not.
    static DUE: RefCell<Option<(usize, Action)>> = const { RefCell::new(None) };
}

/// A recorder whose instructions others can come in between.
pub(crate) struct Interleaved {
    recorder: Recorder,
    executed: Mutex<Vec<Executed>>,
}

impl Interleaved {
    pub(crate) fn new(cpu: Identification) -> Self {
        Self {
            recorder: Recorder::new(cpu),
            executed: Mutex::default(),
        }
    }

    /// The CPU that executes from now on.
    pub(crate) fn identify_as(&self, cpu: Identification) {
        self.recorder.identify_as(cpu);
    }

    /// Everything executed so far; forgets it.
    pub(crate) fn take(&self) -> Vec<Executed> {
        mem::take(&mut *self.executed())
    }

    fn executed(&self) -> MutexGuard<'_, Vec<Executed>> {
        self.executed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is executed in between is another CPU's, and not kept.
    fn before_instruction(&self) {
        let due = DUE.take();
        match due {
            Some((0, action)) => {
                let own = self.take();
                action();
                *self.executed() = own;
            }
            Some((left, action)) => DUE.set(Some((left - 1, action))),
            None => {}
        }
    }
}

/// Makes the call, with `action` before its instruction number `at`, counted from 0.
///
/// # Errors
/// Where the call has not so many.
pub(crate) fn interleave<R>(
    at: usize,
    action: impl FnOnce() + 'static,
    call: impl FnOnce() -> R,
) -> Result<R> {
    DUE.set(Some((at, Box::new(action))));
    let result = call();
    ensure!(DUE.take().is_none(), "no instruction number {at}");
    Ok(result)
}

/// How many of `instructions` come before an access, where `has_passed` says of a point before one of them, by its number, whether
/// the access lies before it.
///
/// # Errors
/// Where it lies before one and behind a later one.
pub(crate) fn place(
    instructions: usize,
    has_passed: impl Fn(usize) -> Result<bool>,
) -> Result<usize> {
    let passed: Vec<_> = (0..instructions).map(has_passed).collect::<Result<_>>()?;
    ensure!(passed.is_sorted(), "several accesses, or none: {passed:?}");
    Ok(passed.iter().filter(|passed| !**passed).count())
}

macro_rules! instructions {
    ($($method:ident $($operand:ident)?),* $(,)?) => {$(
        fn $method(&self $(, $operand: u64)?) {
            self.before_instruction();
            self.recorder.$method($($operand)?);
            self.executed().extend(self.recorder.take());
        }
    )*};
}

// SAFETY: only tests rely on it; no memory is freed on its word.
#[rustfmt::skip]
unsafe impl Instructions for Interleaved {
    instructions! {
        dsb_ishst, dsb_nshst, dsb_ish, dsb_nsh, isb,
        tlbi_vae1is operand, tlbi_vale1is operand, tlbi_vaae1is operand, tlbi_vaale1is operand,
        tlbi_rvae1is operand, tlbi_rvale1is operand, tlbi_rvaae1is operand, tlbi_rvaale1is operand,
        tlbi_aside1is operand, tlbi_vmalle1is,
        tlbi_vae1 operand, tlbi_vale1 operand, tlbi_vaae1 operand, tlbi_vaale1 operand,
        tlbi_rvae1 operand, tlbi_rvale1 operand, tlbi_rvaae1 operand, tlbi_rvaale1 operand,
        tlbi_aside1 operand, tlbi_vmalle1,
    }

    fn midr(&self) -> u64 { self.recorder.midr() }
    fn id_aa64mmfr0(&self) -> u64 { self.recorder.id_aa64mmfr0() }
    fn id_aa64mmfr2(&self) -> u64 { self.recorder.id_aa64mmfr2() }
    fn id_aa64isar0(&self) -> u64 { self.recorder.id_aa64isar0() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    #[test]
    fn another_comes_in_between_and_is_not_recorded() {
        let on = Rc::new(Interleaved::new(Identification::FULL));
        let seen = Rc::new(Cell::new(0));
        let other = (on.clone(), seen.clone());
        let action = move || {
            other.0.isb();
            other.1.set(other.0.take().len());
        };
        let call = || {
            on.dsb_ishst();
            on.tlbi_vmalle1is();
        };
        interleave(1, action, call).unwrap();
        assert_eq!(seen.get(), 1, "the ISB alone");
        let names: Vec<_> = on.take().iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["dsb ishst", "tlbi vmalle1is"]);
        assert!(interleave(2, || {}, call).is_err());
    }

    #[test]
    fn an_access_lies_where_others_begin_to_see_it() {
        assert_eq!(place(3, |at| Ok(at > 0)).unwrap(), 1);
        assert_eq!(place(3, |_| Ok(true)).unwrap(), 0);
        assert_eq!(place(3, |_| Ok(false)).unwrap(), 3);
        assert!(place(3, |at| Ok(at == 1)).is_err());
    }
}
