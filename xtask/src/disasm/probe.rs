//! A small crate in which each instruction method is one exported function, built for the target and read back.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol};

use super::methods::Method;
use crate::setup::rust_src::{self, AARCH64};
use crate::{process, workspace};

/// What the function of a method is called in the built object.
pub(super) const METHOD: &str = "method_";
/// What the same instruction is called, assembled from its mnemonic.
pub(super) const MNEMONIC: &str = "mnemonic_";

/// The machine words of every such function, by its name.
pub(super) type Words = BTreeMap<String, Vec<u32>>;

/// Writes, builds and reads the crate.
pub(super) fn build(methods: &[Method]) -> Result<Words> {
    let folder = workspace::on_target_dir().join("probe-aarch64");
    write(&folder, methods)?;
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(folder.join("Cargo.toml"));
    rust_src::find_or_fetch(AARCH64)?.apply(&mut cargo, AARCH64);
    process::run(&mut cargo)?;
    let built = workspace::on_target_dir()
        .join(AARCH64)
        .join("release/libprobe_aarch64.rlib");
    let archive = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
    read_archive(&archive)
}

fn write(folder: &Path, methods: &[Method]) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"probe-aarch64\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\ntlb-shootdown = {{ path = {:?} }}\n",
        workspace::root()
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    // The versions that the project itself is built with.
    fs::copy(
        workspace::root().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    fs::write(folder.join("src/lib.rs"), source(methods))?;
    Ok(())
}

fn source(methods: &[Method]) -> String {
    let mut text = String::from(
        "#![no_std]\nuse tlb_shootdown::arch::aarch64::instructions::{Asm, Instructions};\n\n\
         core::arch::global_asm!(\".arch_extension tlb-rmi\");\n\n",
    );
    for method in methods {
        let name = &method.name;
        let (parameter, operand) = if method.takes_operand {
            ("operand: u64", "operand")
        } else {
            ("", "")
        };
        let result = if method.gives_value { " -> u64" } else { "" };
        let _ = writeln!(
            text,
            "#[unsafe(no_mangle)]\n#[inline(never)]\n\
             pub extern \"C\" fn {METHOD}{name}({parameter}){result} {{\n    Asm.{name}({operand})\n}}"
        );
        if let Some(mnemonic) = method.mnemonic() {
            let symbol = format!("{MNEMONIC}{name}");
            let _ = writeln!(
                text,
                "core::arch::global_asm!(\".globl {symbol}\", \"{symbol}:\", \"{mnemonic}\", \
                 \".size {symbol}, 4\");\n"
            );
        }
    }
    text
}

fn read_archive(bytes: &[u8]) -> Result<Words> {
    let archive = ArchiveFile::parse(bytes)?;
    let mut words = Words::new();
    for member in archive.members() {
        let member = member?;
        if member.name().ends_with(b".o") {
            read_object(member.data(bytes)?, &mut words)?;
        }
    }
    Ok(words)
}

fn read_object(bytes: &[u8], words: &mut Words) -> Result<()> {
    let file = object::File::parse(bytes)?;
    for symbol in file.symbols() {
        let name = symbol.name().unwrap_or_default();
        let Some(section) = symbol.section_index() else {
            continue;
        };
        if !name.starts_with(METHOD) && !name.starts_with(MNEMONIC) {
            continue;
        }
        let section = file.section_by_index(section)?;
        let Some(code) = section.data_range(symbol.address(), symbol.size())? else {
            bail!("{name} lies outside its section");
        };
        let code = code
            .chunks_exact(4)
            .map(|word| word.try_into().map(u32::from_le_bytes));
        words.insert(name.to_owned(), code.collect::<Result<_, _>>()?);
    }
    Ok(())
}
