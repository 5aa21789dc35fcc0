//! Whether the tests notice mistakes: each is put back into the library's own path, and the test named for it must fail.
//!
//! One build under `--cfg tlb_defects` has them all, and the variable `TLB_DEFECT` chooses one for a process. First every named test must pass with
//! none chosen; then each is run alone with its mistake, and must fail by an assertion of a test or of the model, after the mistake was made.

mod build;
pub(crate) mod generated;
mod matrix;
mod table;
mod trial;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};

use build::Programs;
use table::Mutant;
use trial::Verdict;

/// Which mistakes to make.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this one.
    #[arg(long)]
    only: Option<String>,
    /// Print what there is, and make none.
    #[arg(long, conflicts_with = "only")]
    list: bool,
    /// Instead of those on the list, those that cargo-mutants makes up, of one group of files or of all.
    #[arg(long, value_name = "GROUP", conflicts_with = "only")]
    generated: Option<Option<String>>,
}

/// A mistake, and how its test took it.
pub(crate) struct Outcome {
    pub(crate) mutant: &'static Mutant,
    pub(crate) verdict: Verdict,
}

/// Prints one line for each mistake, the matrix, and last how many were caught.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if let Some(group) = &options.generated {
        if options.list {
            return generated::list().map(|()| ExitCode::SUCCESS);
        }
        return generated::run(group.as_deref());
    }
    if options.list {
        return list().map(|()| ExitCode::SUCCESS);
    }
    let outcomes = outcomes(options.only.as_deref())?;
    if options.only.is_none() {
        print!("{}", matrix::render());
    }
    let caught = outcomes
        .iter()
        .filter(|outcome| outcome.verdict.is_caught());
    let caught = caught.count();
    println!("caught {caught} of {}", outcomes.len());
    Ok(if caught == outcomes.len() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// All mistakes with the library's own words for them, the matrix, and what cannot be made.
fn list() -> Result<()> {
    let programs = build::programs(&table::binaries())?;
    for (name, what) in agree(&programs)? {
        let mutant = table::all().find(|mutant| mutant.defect == name);
        println!("{}:{what}", mutant.map_or(name, Mutant::line));
    }
    print!("{}", matrix::render());
    for (what, why) in table::IMPOSSIBLE {
        println!("cannot be made: {what}: {why}");
    }
    Ok(())
}

/// Makes every mistake, or the named one. An error where the tests fail without any, or the table and the library do not agree.
pub(crate) fn outcomes(only: Option<&str>) -> Result<Vec<Outcome>> {
    let chosen: Vec<_> = table::all()
        .filter(|mutant| only.is_none_or(|name| name == mutant.defect))
        .collect();
    ensure!(!chosen.is_empty(), "there is no such mistake");
    matrix::check()?;
    let programs = build::programs(&table::binaries())?;
    agree(&programs)?;
    trial::pass_without(&programs, &chosen)?;
    Ok(try_all(&programs, &chosen))
}

/// The library's list, by name with what each is. It must be the table's, so that nothing is left out on either side.
fn agree(programs: &Programs) -> Result<Vec<(String, String)>> {
    let first = table::all().next().context("the table is empty")?;
    let known = trial::known(programs, first)?;
    let mut names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
    let mut listed: Vec<_> = table::all().map(|mutant| mutant.defect).collect();
    names.sort_unstable();
    listed.sort_unstable();
    let missing = |all: &[&str], from: &[&str]| {
        let missing = all.iter().copied().filter(|name| !from.contains(name));
        missing.collect::<Vec<_>>().join(" ")
    };
    ensure!(
        names == listed,
        "without a line in the table: [{}]; unknown to the library: [{}]; or one stands twice",
        missing(&names, &listed),
        missing(&listed, &names)
    );
    Ok(known)
}

/// What a mistake breaks is not to be kept for later runs, nor made smaller first.
fn expecting_failure(command: &mut Command) {
    command.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
    command.env("PROPTEST_MAX_SHRINK_ITERS", "0");
}

/// As many at once as there are CPUs; lines come in the order of the table.
fn try_all(programs: &Programs, chosen: &[&'static Mutant]) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    let work = || {
        while let Some(mutant) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
            let verdict = trial::with(programs, mutant);
            if let Ok(mut verdicts) = verdicts.lock() {
                verdicts.push((mutant.defect, verdict));
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        (0..workers).for_each(|_| {
            scope.spawn(work);
        });
    });
    let mut verdicts = verdicts.into_inner().unwrap_or_default();
    let outcomes = chosen.iter().map(|&mutant| {
        let mine = verdicts.iter().position(|(name, _)| *name == mutant.defect);
        let verdict = mine.map(|mine| verdicts.swap_remove(mine).1);
        let verdict = verdict.unwrap_or_else(|| Verdict::Error("not tried".to_owned()));
        println!("{}: {verdict}", mutant.line());
        Outcome { mutant, verdict }
    });
    outcomes.collect()
}
