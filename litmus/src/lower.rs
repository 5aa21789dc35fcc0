//! From what the recorder kept to what herd7 reads.
//!
//! Operands are taken apart with constants of this file (Arm ARM C5.5, "A64 System instructions for TLB maintenance"), never with the
//! library's. An operand that names nothing of the test is an error: herd7 knows no ASIDs, so a wrong one would pass there.

use anyhow::{Context, Result, bail, ensure};
use tlb_shootdown_model::recorder::aarch64::Executed;

use crate::page::{Page, Place};

/// What an instruction is executed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    None,
    Page(Page),
}

/// One instruction in herd7's spelling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) name: String,
    pub(crate) operand: Operand,
}

/// Bits 63:48 of every operand with an ASID.
const ASID_SHIFT: u32 = 48;
/// TLBI by address: TTL in bits 47:44, VA\[55:12\] in bits 43:0.
const TTL_SHIFT: u32 = 44;
const VA: u64 = (1 << 44) - 1;
/// TTL of a page of 4 KiB: granule 01, level 3; 0 is no hint.
const LEVEL_3_OF_4K: u64 = 0b0111;
/// TLBI by range: TG in bits 47:46 (01 is 4 KiB), SCALE in 45:44, NUM in 43:39, TTL in 38:37, BaseADDR (VA\[48:12\]) in 36:0.
const TG_4K: u64 = 0b01;
const BASE: u64 = (1 << 37) - 1;

/// Writes one recorded instruction down; a range operation becomes one operation for each page of the test that it covers.
pub(crate) fn lower(&(recorded, operand): &Executed, places: &[Place]) -> Result<Vec<Instruction>> {
    let what = || format!("{recorded} {operand:#x?}");
    let Some(form) = recorded.strip_prefix("tlbi ") else {
        ensure!(operand.is_none(), "a barrier with an operand: {}", what());
        return Ok(vec![instruction(&recorded.to_uppercase(), Operand::None)]);
    };
    if form.starts_with("vmall") {
        return Ok(vec![instruction(&tlbi(form), Operand::None)]);
    }
    let raw = operand.with_context(|| format!("no operand: {}", what()))?;
    if form.starts_with("aside") {
        // herd7 wants an address even where the architecture has none: one of a page under the ASID.
        let known = places
            .iter()
            .find(|place| place.asid == Some(raw >> ASID_SHIFT));
        let place = known.with_context(|| format!("no process of the test: {}", what()))?;
        return Ok(vec![instruction(&tlbi(form), Operand::Page(place.page))]);
    }
    let (form, covered) = match form.strip_prefix('r') {
        Some(by_page) => (by_page, by_range(raw).with_context(what)?),
        None => (form, by_address(raw).with_context(what)?),
    };
    let of_all_asids = form.starts_with("vaa");
    let asid = (!of_all_asids).then_some(raw >> ASID_SHIFT);
    let hit = places
        .iter()
        .filter(|place| asid == place.asid && covered.contains(&(place.page.address >> 12 & VA)));
    let lowered: Vec<_> = hit
        .map(|place| instruction(&tlbi(form), Operand::Page(place.page)))
        .collect();
    if lowered.is_empty() {
        bail!("no page of the test: {}", what());
    }
    Ok(lowered)
}

fn tlbi(form: &str) -> String {
    format!("TLBI {}", form.to_uppercase())
}

fn instruction(name: &str, operand: Operand) -> Instruction {
    Instruction {
        name: name.to_owned(),
        operand,
    }
}

/// The page numbers that an operation by address names: one.
fn by_address(raw: u64) -> Result<std::ops::Range<u64>> {
    let ttl = raw >> TTL_SHIFT & 0xf;
    ensure!(
        ttl == 0 || ttl == LEVEL_3_OF_4K,
        "a hint of another level than the page's"
    );
    let page = raw & VA;
    Ok(page..page + 1)
}

/// Those of a range operation: `(NUM + 1) << (5 * SCALE + 1)` pages.
fn by_range(raw: u64) -> Result<std::ops::Range<u64>> {
    let (granule, scale, num) = (raw >> 46 & 3, raw >> 44 & 3, raw >> 39 & 0x1f);
    ensure!(granule == TG_4K, "another granule than 4 KiB");
    let level = raw >> 37 & 3;
    ensure!(
        level == 0 || level == 3,
        "a hint of another level than the page's"
    );
    let base = raw & BASE;
    Ok(base..base + ((num + 1) << (5 * scale + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 2] = [Page::X.under(5), Page::NEXT.under(5)];

    fn names(recorded: &'static str, operand: Option<u64>) -> Result<Vec<(String, Operand)>> {
        let lowered = lower(&(recorded, operand), &PLACES)?;
        Ok(lowered
            .into_iter()
            .map(|instruction| (instruction.name, instruction.operand))
            .collect())
    }

    #[test]
    fn barriers_and_operations_keep_their_names() {
        let bare = names("dsb ishst", None).unwrap();
        assert_eq!(bare, [("DSB ISHST".to_owned(), Operand::None)]);
        let page = names("tlbi vale1is", Some(0x0005_7000_0000_0400)).unwrap();
        let expected = ("TLBI VALE1IS".to_owned(), Operand::Page(Page::X));
        assert_eq!(page, [expected]);
        let asid = names("tlbi aside1is", Some(5 << 48)).unwrap();
        let expected = ("TLBI ASIDE1IS".to_owned(), Operand::Page(Page::X));
        assert_eq!(asid, [expected]);
        let all = names("tlbi vmalle1", None).unwrap();
        assert_eq!(all, [("TLBI VMALLE1".to_owned(), Operand::None)]);
    }

    /// ASID 5, TG 01, SCALE 0, NUM 0, TTL 11: two pages from 0x400 on; the same from 0x401 on is the second alone.
    #[test]
    fn a_range_becomes_the_pages_that_it_covers() {
        let both = names("tlbi rvale1is", Some(0x0005_4060_0000_0400)).unwrap();
        let operands: Vec<_> = both.iter().map(|(_, operand)| *operand).collect();
        assert_eq!(
            operands,
            [Operand::Page(Page::X), Operand::Page(Page::NEXT)]
        );
        let second = names("tlbi rvale1is", Some(0x0005_4060_0000_0401)).unwrap();
        assert_eq!(second[0].1, Operand::Page(Page::NEXT));
        assert_eq!(second.len(), 1);
    }

    #[test]
    fn what_names_nothing_of_the_test_is_an_error() {
        for (recorded, operand) in [
            ("tlbi vale1is", 0x0006_7000_0000_0400),  // another ASID
            ("tlbi vale1is", 0x0005_7000_0000_0402),  // another page
            ("tlbi vale1is", 0x0005_6000_0000_0400),  // level 2
            ("tlbi rvale1is", 0x0005_4060_0000_0402), // behind both
            ("tlbi rvale1is", 0x0005_8060_0000_0400), // 16 KiB
            ("tlbi rvale1is", 0x0005_4040_0000_0400), // level 2
            ("tlbi aside1is", 6 << 48),
        ] {
            assert!(
                names(recorded, Some(operand)).is_err(),
                "{recorded} {operand:#x}"
            );
        }
        assert!(names("dsb ish", Some(0)).is_err());
        assert!(names("tlbi vale1is", None).is_err());
    }
}
