//! The machine code that the instruction methods compile to, compared with literals from the manuals.

mod aarch64_words;
mod judge;
mod methods;
mod powerpc_words;
mod probe;
mod set;
mod x86_64_moves;
mod x86_64_words;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::workspace;
use set::Set;

/// The architectures whose methods are compared.
static SETS: [&Set; 3] = [&aarch64_words::SET, &powerpc_words::SET, &x86_64_words::SET];

/// One method and whether it is the instruction of its name.
pub(crate) struct Finding {
    /// The architecture and the method.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) verdict: Result<(), String>,
}

/// Builds every method and compares its code.
pub(crate) fn compare() -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for set in SETS {
        findings.extend(compare_set(set)?);
    }
    Ok(findings)
}

fn compare_set(set: &Set) -> Result<Vec<Finding>> {
    let declared = format!("src/arch/{}/instructions/mod.rs", set.arch);
    let source = fs::read_to_string(workspace::root().join(&declared));
    let methods = methods::parse(&source.with_context(|| declared.clone())?);
    if methods.is_empty() {
        bail!("{declared} declares no method");
    }
    let literals = (set.literals)();
    let built = probe::build(set, &methods, &literals)?;
    let finding = |name: &str, verdict| Finding {
        name: format!("{} {name}", set.arch),
        verdict,
    };
    let judged = methods
        .iter()
        .map(|method| finding(&method.name, judge::judge(set, method, &literals, &built)));
    let unused = literals
        .iter()
        .filter(|literal| methods.iter().all(|method| method.name != literal.name))
        .map(|literal| finding(literal.name, Err("a literal without a method".into())));
    Ok(judged.chain(unused).collect())
}

/// The check as a command of its own.
pub(crate) fn run() -> Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for finding in compare()? {
        match finding.verdict {
            Ok(()) => println!("{} ok", finding.name),
            Err(why) => {
                println!("{} WRONG: {why}", finding.name);
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}
