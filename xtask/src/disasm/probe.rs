//! A small crate in which each instruction method is one exported function, built for the target and read back.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection, ObjectSymbol};

use super::methods::Method;
use super::set::{Literal, Set};
use crate::setup::rust_src;
use crate::{process, workspace};

/// What the function of a method is called in the built object.
pub(super) const METHOD: &str = "method_";
/// What the same instruction is called, assembled from its mnemonic.
pub(super) const MNEMONIC: &str = "mnemonic_";

/// The machine code of every such function, by its name.
pub(super) type Built = BTreeMap<String, Vec<u8>>;

/// Writes, builds and reads the crate.
pub(super) fn build(set: &Set, methods: &[Method], literals: &[Literal]) -> Result<Built> {
    let Set { arch, target, .. } = set;
    let folder = workspace::on_target_dir().join(format!("probe-{arch}"));
    write(&folder, set, &source(set, methods, literals))?;
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(folder.join("Cargo.toml"));
    rust_src::find_or_fetch(target)?.apply(&mut cargo, target);
    process::run(&mut cargo)?;
    let target = rust_src::folder_of(target);
    let built = workspace::on_target_dir().join(format!("{target}/release/libprobe_{arch}.rlib"));
    let archive = fs::read(&built).with_context(|| format!("no {}", built.display()))?;
    read_archive(&archive)
}

fn write(folder: &Path, set: &Set, source: &str) -> Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    let manifest = format!(
        "[package]\nname = \"probe-{}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\ntlb-shootdown = {{ path = {:?} }}\n",
        set.arch,
        workspace::root()
    );
    fs::write(folder.join("Cargo.toml"), manifest)?;
    // The versions that the project itself is built with.
    fs::copy(
        workspace::root().join("Cargo.lock"),
        folder.join("Cargo.lock"),
    )?;
    fs::write(folder.join("src/lib.rs"), source)?;
    Ok(())
}

fn source(set: &Set, methods: &[Method], literals: &[Literal]) -> String {
    let mut text = format!(
        "#![no_std]\n#![allow(unused_imports)]\nuse core::arch::{{asm, global_asm}};\n\
         use tlb_shootdown::arch::{}::instructions::*;\n\nglobal_asm!({:?});\n\n",
        set.arch, set.directive
    );
    for method in methods {
        let literal = literals.iter().find(|literal| literal.name == method.name);
        let registers = literal.map_or(&[][..], |literal| literal.registers);
        text.push_str(&function(method, registers));
        if let Some(mnemonic) = (set.mnemonic)(method) {
            let symbol = format!("{MNEMONIC}{}", method.name);
            let _ = writeln!(
                text,
                "global_asm!(\".globl {symbol}\", \"{symbol}:\", \"{mnemonic}\", \
                 \".size {symbol}, . - {symbol}\");\n"
            );
        }
    }
    text
}

/// A function that is nothing but a call of the method. Arguments that have a register are taken from there, as an empty
/// piece of assembly leaves them; the others are the function's own.
fn function(method: &Method, registers: &[&str]) -> String {
    let Method {
        name, arguments, ..
    } = method;
    let (placed, passed) = arguments.split_at(registers.len().min(arguments.len()));
    let passed = passed
        .iter()
        .map(|(name, kind)| format!("{name}: {kind}, "));
    let result = method.result.iter().map(|kind| format!(" -> {kind}"));
    let mut text = format!(
        "#[unsafe(no_mangle)]\n#[inline(never)]\npub fn {METHOD}{name}({}){} {{\n",
        passed.collect::<String>(),
        result.collect::<String>()
    );
    if !placed.is_empty() {
        let mut outputs = String::new();
        for ((name, kind), register) in placed.iter().zip(registers) {
            let _ = writeln!(text, "    let {name}: {kind};");
            let _ = write!(outputs, ", out({register:?}) {name}");
        }
        let _ = writeln!(
            text,
            "    unsafe {{ asm!(\"\"{outputs}, options(nomem, nostack, preserves_flags)) }};"
        );
    }
    let names = arguments.iter().map(|(name, _)| format!("{name}, "));
    let _ = writeln!(text, "    Asm.{name}({})\n}}", names.collect::<String>());
    text
}

fn read_archive(bytes: &[u8]) -> Result<Built> {
    let archive = ArchiveFile::parse(bytes)?;
    let mut built = Built::new();
    for member in archive.members() {
        let member = member?;
        if member.name().ends_with(b".o") {
            read_object(member.data(bytes)?, &mut built)?;
        }
    }
    Ok(built)
}

fn read_object(bytes: &[u8], built: &mut Built) -> Result<()> {
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
        built.insert(name.to_owned(), code.to_vec());
    }
    Ok(())
}
