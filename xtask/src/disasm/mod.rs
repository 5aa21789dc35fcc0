//! The machine words that the instruction methods compile to, compared with literals from the manual.

mod aarch64_words;
mod methods;
mod probe;

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use crate::workspace;
use aarch64_words::WORDS;
use methods::Method;
use probe::{METHOD, MNEMONIC, Words};

/// The trait whose methods are compared.
const TRAIT: &str = "src/arch/aarch64/instructions/mod.rs";

/// RET, which ends every function.
const RET: u32 = 0xd65f_03c0;

/// One method and whether it is the instruction of its name.
pub(crate) struct Finding {
    /// The method.
    pub(crate) name: String,
    /// What is wrong with it.
    pub(crate) verdict: Result<(), String>,
}

/// Builds every method and compares its words.
pub(crate) fn compare() -> Result<Vec<Finding>> {
    let source = fs::read_to_string(workspace::root().join(TRAIT)).context(TRAIT)?;
    let methods = methods::parse(&source);
    if methods.is_empty() {
        bail!("{TRAIT} declares no method");
    }
    let built = probe::build(&methods)?;
    let mut findings: Vec<_> = methods
        .iter()
        .map(|method| Finding {
            name: method.name.clone(),
            verdict: judge(method, &WORDS, &built),
        })
        .collect();
    for (name, _) in WORDS {
        if !methods.iter().any(|method| method.name == name) {
            let verdict = Err("a literal without a method".into());
            findings.push(Finding {
                name: name.into(),
                verdict,
            });
        }
    }
    Ok(findings)
}

/// Exactly the literal and a return; and the literal is what the assembler makes of the mnemonic.
fn judge(method: &Method, literals: &[(&str, u32)], built: &Words) -> Result<(), String> {
    let Method { name, .. } = method;
    let Some((_, literal)) = literals.iter().find(|(known, _)| known == name) else {
        return Err("a method without a literal".into());
    };
    let code = built.get(&format!("{METHOD}{name}")).ok_or("not built")?;
    if code != &[*literal, RET] {
        return Err(format!(
            "{literal:08x} and a return expected, {code:08x?} built"
        ));
    }
    if let Some(mnemonic) = method.mnemonic() {
        let assembled = built
            .get(&format!("{MNEMONIC}{name}"))
            .ok_or("not assembled")?;
        if assembled != &[*literal] {
            return Err(format!(
                "the literal is {literal:08x}, `{mnemonic}` {assembled:08x?}"
            ));
        }
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn built(method: &[u32], mnemonic: u32) -> Words {
        let methods = (format!("{METHOD}dsb_ish"), method.to_vec());
        [methods, (format!("{MNEMONIC}dsb_ish"), vec![mnemonic])].into()
    }

    fn dsb_ish() -> Method {
        Method {
            name: "dsb_ish".into(),
            takes_operand: false,
            gives_value: false,
        }
    }

    #[test]
    fn only_the_word_and_a_return_pass() {
        let literals = [("dsb_ish", 0xd503_3b9f)];
        let verdict = |code: &[u32]| judge(&dsb_ish(), &literals, &built(code, 0xd503_3b9f));
        assert_eq!(verdict(&[0xd503_3b9f, 0xd65f_03c0]), Ok(()));
        assert!(verdict(&[0xd503_3a9f, 0xd65f_03c0]).is_err());
        assert!(verdict(&[0xd65f_03c0]).is_err());
        assert!(verdict(&[0xd503_3b9f, 0xd503_3fdf, 0xd65f_03c0]).is_err());
    }

    #[test]
    fn a_wrong_or_missing_literal_does_not_pass() {
        let words = built(&[0xd503_3a9f, 0xd65f_03c0], 0xd503_3b9f);
        assert!(judge(&dsb_ish(), &[("dsb_ish", 0xd503_3a9f)], &words).is_err());
        assert!(judge(&dsb_ish(), &[("isb", 0xd503_3fdf)], &words).is_err());
    }
}
