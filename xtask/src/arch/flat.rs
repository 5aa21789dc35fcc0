//! A kernel as a copy of memory, for machines on which it is the firmware.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use object::Endianness;
use object::elf::{FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

/// QEMU takes no more as firmware.
const MOST: u64 = 16 << 20;

/// Writes the image of an ELF file beside it: what lies from physical address 0 on.
pub(super) fn beside(elf: &Path) -> Result<PathBuf> {
    let contents = fs::read(elf).with_context(|| format!("cannot read {}", elf.display()))?;
    let image = image(&contents).with_context(|| format!("in {}", elf.display()))?;
    let place = elf.with_extension("flat");
    fs::write(&place, image).with_context(|| format!("cannot write {}", place.display()))?;
    Ok(place)
}

fn image(elf: &[u8]) -> Result<Vec<u8>> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let mut image = Vec::new();
    for segment in header.program_headers(endian, elf)? {
        if segment.p_type(endian) != PT_LOAD {
            continue;
        }
        let Ok(bytes) = segment.data(endian, elf) else {
            bail!("a segment outside the file");
        };
        let start = segment.p_paddr(endian);
        if start.saturating_add(bytes.len() as u64) > MOST {
            bail!("a segment at {start:#x}, beyond what firmware may be");
        }
        let start = start as usize;
        image.resize(image.len().max(start + bytes.len()), 0);
        image[start..start + bytes.len()].copy_from_slice(bytes);
    }
    Ok(image)
}
