//! The list of tests in an ELF file that was built with `embedded-test` 0.7.
//!
//! Each test is a static in section `.embedded_test`: the address of a function that never returns, and the path of its
//! module. The *name* of that static's symbol is a JSON object that describes the test. The symbol
//! `EMBEDDED_TEST_VERSION` holds the version of all this, a `usize` that must be 1.

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

const VERSION_SYMBOL: &str = "EMBEDDED_TEST_VERSION";
const VERSION: u64 = 1;

/// Reads the tests of an ELF file, in the order of their names.
pub(crate) fn list(elf: &[u8]) -> Result<Vec<Test>> {
    let file = object::File::parse(elf).context("not an ELF file")?;
    if !file.is_64() {
        bail!("a 32-bit ELF file: its entries have another layout");
    }
    let version = file
        .symbol_by_name(VERSION_SYMBOL)
        .context("it holds no embedded tests")?;
    let version = word(contents(&file, &version)?, 0);
    if version != Some(VERSION) {
        bail!("the tests follow version {version:?} of embedded-test's layout, not {VERSION}");
    }
    let mut tests = Vec::new();
    for symbol in file.symbols() {
        // Nothing else has such a name.
        if symbol.name().is_ok_and(|name| name.starts_with('{')) {
            tests.push(read_test(&file, &symbol)?);
        }
    }
    tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tests)
}

fn read_test<'data>(file: &object::File<'data>, symbol: &impl ObjectSymbol<'data>) -> Result<Test> {
    let json = symbol.name()?;
    let description: Description =
        serde_json::from_str(json).with_context(|| format!("symbol `{json}`"))?;
    let entry = contents(file, symbol)?;
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
    Ok(Test {
        name,
        address,
        should_panic,
        ignored,
        timeout,
    })
}

/// The bytes that a symbol stands for.
fn contents<'data>(
    file: &object::File<'data>,
    symbol: &impl ObjectSymbol<'data>,
) -> Result<&'data [u8]> {
    let section = symbol
        .section_index()
        .context("a symbol without a section")?;
    let bytes = file
        .section_by_index(section)?
        .data_range(symbol.address(), symbol.size())?;
    bytes.with_context(|| {
        format!(
            "`{}` lies outside its section",
            symbol.name().unwrap_or_default()
        )
    })
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

#[cfg(test)]
mod tests {
    use object::build::elf::{Builder, SectionData};
    use object::elf;

    use super::*;

    const CODE: u64 = 0xffff_0000_4020_0000;
    const TEXT: u64 = 0xffff_0000_4030_0000;
    const FIRST: &str = "{\"disambiguator\":1,\"name\":\"first\",\"ignored\":false,\"should_panic\":true,\"timeout\":5}";
    const SECOND: &str =
        "{\"disambiguator\":1,\"name\":\"second\",\"ignored\":true,\"should_panic\":false}";

    /// An image with two tests whose functions are at `CODE` and the given address.
    fn image(version: u64, second: u64) -> Vec<u8> {
        let mut builder = Builder::new(object::Endianness::Little, true);
        builder.header.e_type = elf::ET_EXEC;
        builder.header.e_machine = elf::EM_AARCH64;
        let mut section = |name: &str, address: u64, kind: u32, flags: u32, data: Vec<u8>| {
            let section = builder.sections.add();
            section.name = name.as_bytes().to_vec().into();
            section.sh_type = kind;
            section.sh_flags = flags.into();
            section.sh_addr = address;
            section.sh_addralign = 8;
            section.data = match kind {
                elf::SHT_SYMTAB => SectionData::Symbol,
                elf::SHT_STRTAB if name == ".strtab" => SectionData::String,
                elf::SHT_STRTAB => SectionData::SectionString,
                _ => SectionData::Data(data.into()),
            };
            section.id()
        };
        let code = elf::SHF_ALLOC | elf::SHF_EXECINSTR;
        section(".text", CODE, elf::SHT_PROGBITS, code, vec![0; 64]);
        let path = b"suite::inner".to_vec();
        section(".rodata", TEXT, elf::SHT_PROGBITS, elf::SHF_ALLOC, path);
        let words = [CODE, TEXT, 12, second, TEXT, 5, version];
        let data = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let tests = section(".embedded_test", 0, elf::SHT_PROGBITS, 0, data);
        section(".symtab", 0, elf::SHT_SYMTAB, 0, Vec::new());
        section(".strtab", 0, elf::SHT_STRTAB, 0, Vec::new());
        section(".shstrtab", 0, elf::SHT_STRTAB, 0, Vec::new());
        for (name, value, size) in [(SECOND, 24, 24), (FIRST, 0, 24), (VERSION_SYMBOL, 48, 8)] {
            let symbol = builder.symbols.add();
            symbol.name = name.as_bytes().to_vec().into();
            symbol.section = Some(tests);
            symbol.st_value = value;
            symbol.st_size = size;
            symbol.set_st_info(elf::STB_GLOBAL, elf::STT_OBJECT);
        }
        let mut bytes = Vec::new();
        builder.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn reads_name_address_and_wishes_of_each_test() {
        let tests = list(&image(1, CODE + 60)).unwrap();
        let first = Test {
            name: "inner::first".into(),
            address: CODE,
            should_panic: true,
            ignored: false,
            timeout: Some(5),
        };
        let second = Test {
            name: "second".into(),
            address: CODE + 60,
            should_panic: false,
            ignored: true,
            timeout: None,
        };
        assert_eq!(tests, [first, second]);
    }

    #[test]
    fn refuses_another_version_and_entries_that_are_no_functions() {
        assert!(list(&image(2, CODE)).is_err());
        assert!(list(&image(1, TEXT)).is_err());
        assert!(list(b"no ELF file").is_err());
    }
}
