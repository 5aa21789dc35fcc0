//! The list of tests in an ELF file that was built with `embedded-test` 0.7.
//!
//! Each test is a static in section `.embedded_test.tests`: the address of a function that never returns, and the path of
//! its module. The *name* of that static's symbol is a JSON object that describes the test. `.embedded_test.meta` holds
//! the version of all this, a `usize` that must be 1.

use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol};
use serde::Deserialize;

/// One test of an on-target binary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Test {
    /// Module path and name, without the crate.
    pub(crate) name: String,
    /// The address that the target is told to run.
    pub(crate) address: u64,
    /// Whether it must panic to pass.
    pub(crate) should_panic: bool,
    /// Whether it asks not to be run.
    pub(crate) ignored: bool,
    /// Its limit in seconds, if it names one.
    pub(crate) timeout: Option<u64>,
}

/// The JSON that stands as a symbol's name.
#[derive(Deserialize)]
struct Description {
    name: String,
    ignored: bool,
    should_panic: bool,
    timeout: Option<u64>,
}

const TESTS: &str = ".embedded_test.tests";
const META: &str = ".embedded_test.meta";
const VERSION: u64 = 1;

/// A function pointer and a string slice on a 64-bit target.
const ENTRY_BYTES: usize = 24;

/// Reads the tests of an ELF file, in the order of their names.
pub(crate) fn list(elf: &[u8]) -> Result<Vec<Test>> {
    let file = object::File::parse(elf).context("not an ELF file")?;
    if !file.is_64() {
        bail!("a 32-bit ELF file: its entries have another layout");
    }
    let meta = file
        .section_by_name(META)
        .context("no section .embedded_test.meta")?;
    let version = word(meta.data()?, 0);
    if version != Some(VERSION) {
        bail!("the tests follow version {version:?} of embedded-test's layout, not {VERSION}");
    }
    let section = file
        .section_by_name(TESTS)
        .context("no section .embedded_test.tests")?;
    let mut tests = Vec::new();
    for symbol in file.symbols() {
        if symbol.section_index() == Some(section.index()) {
            tests.extend(read_test(&file, &section, &symbol)?);
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

fn read_test<'data>(
    file: &object::File<'data>,
    section: &impl ObjectSection<'data>,
    symbol: &impl ObjectSymbol<'data>,
) -> Result<Option<Test>> {
    let json = symbol.name()?;
    if !json.starts_with('{') {
        // Section symbols and the linker script's own.
        return Ok(None);
    }
    let description: Description =
        serde_json::from_str(json).with_context(|| format!("symbol `{json}`"))?;
    let offset = usize::try_from(symbol.address().wrapping_sub(section.address()))?;
    let entry = section
        .data()?
        .get(offset..)
        .and_then(|rest| rest.get(..ENTRY_BYTES));
    let entry = entry.with_context(|| format!("`{json}` lies outside its section"))?;
    let [address, path, length] = [0, 8, 16].map(|at| word(entry, at).unwrap_or_default());
    if !is_code(file, address) {
        bail!("`{json}` does not begin with the address of a function");
    }
    let module = text(file, path, length).context("a module path outside the file")?;
    let module = module.split_once("::").map_or("", |(_, inside)| inside);
    let Description {
        name,
        ignored,
        should_panic,
        timeout,
    } = description;
    let name = if module.is_empty() {
        name
    } else {
        format!("{module}::{name}")
    };
    Ok(Some(Test {
        name,
        address,
        should_panic,
        ignored,
        timeout,
    }))
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

fn is_code(file: &object::File<'_>, address: u64) -> bool {
    file.sections().any(|section| {
        let inside = address
            .checked_sub(section.address())
            .is_some_and(|at| at < section.size());
        inside && section.kind() == object::SectionKind::Text
    })
}

fn text(file: &object::File<'_>, address: u64, length: u64) -> Option<String> {
    let bytes = file
        .sections()
        .filter(|section| section.address() != 0)
        .find_map(|section| section.data_range(address, length).ok().flatten())?;
    String::from_utf8(bytes.to_vec()).ok()
}
