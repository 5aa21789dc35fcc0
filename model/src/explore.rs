//! Every run of a small test: all its own choices, and all of the machine's that differ from the latest in few places.
//!
//! A run is a row of choices. The test's own ([`choose`]) are tried in every combination. Of the machine's, made under
//! [`Temper::Explored`](crate::Temper::Explored), each takes the latest way by itself, and at most [`Bounds::deviations`] of them in one run take another:
//! most faults need few, and the number of runs stays small.
//!
//! A run that fails is told in words: what the test [said](say) of its steps, and where the machine took another way.

use core::cell::RefCell;
use core::fmt::{self, Write as _};
use core::panic::Location;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher};
use std::{eprintln, format, string::String, thread_local, vec::Vec};

use crate::Model;

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// How many of the machine's choices in one run are not the latest way.
    pub deviations: usize,
    /// After so many runs it ends, incomplete.
    pub runs: u64,
}

/// What was explored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explored {
    /// How many runs there were.
    pub runs: u64,
    /// How many different states of the machine they went through, where the test has [noted](note) them.
    pub states: usize,
    /// Whether these were all runs within the bound of deviations.
    pub is_complete: bool,
}

#[derive(Clone, Copy, Debug)]
struct Choice {
    taken: usize,
    of: usize,
    is_the_machines: bool,
}

impl Choice {
    fn deviates(&self) -> bool {
        self.is_the_machines && self.taken > 0
    }
}

/// The choices of one run, and how many of them were made.
#[derive(Debug, Default)]
struct Script {
    choices: Vec<Choice>,
    made: usize,
    /// Before so many choices are made the run goes as the one before, and its states are known.
    repeated: usize,
    states: HashSet<u64>,
    /// How deep in parts that are not explored.
    quiet: usize,
    /// The run in words.
    words: Vec<String>,
}

impl Script {
    fn make(&mut self, of: usize, is_the_machines: bool) -> usize {
        if self.quiet > 0 {
            return 0;
        }
        let made = self.made;
        self.made += 1;
        match self.choices.get(made) {
            Some(choice) => choice.taken.min(of.saturating_sub(1)),
            None => {
                self.choices.push(Choice {
                    taken: 0,
                    of,
                    is_the_machines,
                });
                0
            }
        }
    }

    /// The next run in order: the last choice that has another way takes it. False where none has.
    fn advance(&mut self, deviations: usize) -> bool {
        self.choices.truncate(self.made);
        self.made = 0;
        self.words.clear();
        while let Some(mut last) = self.choices.pop() {
            last.taken += 1;
            let others = self.choices.iter().filter(|choice| choice.deviates());
            let is_within = !last.is_the_machines || others.count() < deviations;
            if last.taken < last.of && is_within {
                self.choices.push(last);
                self.repeated = self.choices.len();
                return true;
            }
        }
        false
    }

    fn shown(&self) -> String {
        let made = self.choices.iter().take(self.made);
        let taken: Vec<_> = made.map(|choice| format!("{}", choice.taken)).collect();
        taken.join(".")
    }
}

thread_local! {
    static SCRIPT: RefCell<Script> = RefCell::default();
}

/// Tells how to see a run again that did not end well.
struct Reporter;

impl Drop for Reporter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            SCRIPT.with_borrow(|script| {
                eprintln!("explored run: {:?}", script.shown());
                script.words.iter().for_each(|line| eprintln!("  {line}"));
            });
        }
    }
}

/// Runs `body` once for each row of choices, on this thread. A run that panics says how to [`replay`] it.
pub fn explore(bounds: Bounds, mut body: impl FnMut()) -> Explored {
    SCRIPT.set(Script::default());
    let mut runs = 0;
    let is_complete = loop {
        if runs == bounds.runs {
            break false;
        }
        let reporter = Reporter;
        body();
        drop(reporter);
        runs += 1;
        if !SCRIPT.with_borrow_mut(|script| script.advance(bounds.deviations)) {
            break true;
        }
    };
    Explored {
        runs,
        states: SCRIPT.take().states.len(),
        is_complete,
    }
}

/// Runs `body` once with the choices that a failed run has printed, and tells it in the same words where it fails again.
pub fn replay(run: &str, mut body: impl FnMut()) {
    let taken = run.split('.').filter_map(|taken| taken.parse().ok());
    let choices = taken.map(|taken| Choice {
        taken,
        of: usize::MAX,
        is_the_machines: false,
    });
    SCRIPT.set(Script {
        choices: choices.collect(),
        ..Script::default()
    });
    let reporter = Reporter;
    body();
    drop(reporter);
    SCRIPT.take();
}

/// What the test does next, for the words in which a run is told that fails. Not kept of what is done [quietly].
pub fn say(step: impl fmt::Display) {
    SCRIPT.with_borrow_mut(|script| {
        if script.quiet == 0 {
            script.words.push(format!("{step}"));
        }
    });
}

/// One of `of` ways for the test to go on, from 0. Outside an exploration it is the first.
pub fn choose(of: usize) -> usize {
    SCRIPT.with_borrow_mut(|script| script.make(of, false))
}

/// Does something of which nothing is explored: each choice in it takes the first way.
pub fn quietly<R>(f: impl FnOnce() -> R) -> R {
    SCRIPT.with_borrow_mut(|script| script.quiet += 1);
    let result = f();
    SCRIPT.with_borrow_mut(|script| script.quiet -= 1);
    result
}

/// Hashes what is written.
#[derive(Default)]
struct Hashing(DefaultHasher);

impl fmt::Write for Hashing {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// The state that the machine is in counts as one that was seen. The library's own state is no part of it.
pub fn note(model: &Model) {
    let was_there = SCRIPT.with_borrow(|script| script.made < script.repeated);
    if was_there {
        return;
    }
    let mut hashing = Hashing::default();
    let written = model.with(|world| write!(hashing, "{world:?}"));
    if written.is_ok() {
        SCRIPT.with_borrow_mut(|script| script.states.insert(hashing.0.finish()));
    }
}

/// One of `of` ways for the machine, of which the first is the latest. In words, `way` says what another than the first is like.
pub(crate) fn deviate(of: usize, way: &str, at: &Location<'_>) -> usize {
    SCRIPT.with_borrow_mut(|script| {
        let taken = script.make(of, true);
        if taken > 0 {
            let line = format!("    the machine, at {}:{}: {way}", at.file(), at.line());
            script.words.push(line);
        }
        taken
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    /// The shortest run that fails is told in the words of the test, without those of the runs before.
    #[test]
    fn run_that_fails_is_told_in_words() {
        let bounds = Bounds {
            deviations: 1,
            runs: u64::MAX,
        };
        let failed = catch_unwind(|| {
            explore(bounds, || {
                let steps: Vec<_> = (0..=choose(3)).map(|_| choose(2)).collect();
                steps.iter().for_each(say);
                quietly(|| say("nothing of what is done quietly"));
                let is_early = deviate(2, "early", Location::caller()) == 1;
                assert!(!(is_early && steps == [1, 0]));
            });
        });
        assert!(failed.is_err());
        SCRIPT.with_borrow(|script| {
            assert_eq!(script.shown(), "1.1.0.1");
            let (deviation, steps) = script.words.split_last().unwrap();
            assert_eq!(steps, ["1", "0"]);
            assert!(
                deviation.starts_with("    the machine, at ") && deviation.ends_with(": early")
            );
        });
    }
}
