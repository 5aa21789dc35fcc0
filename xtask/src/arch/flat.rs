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
    // In one step: another run may be booting the same image.
    let partial = elf.with_extension(format!("flat-{}", std::process::id()));
    fs::write(&partial, image).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, &place)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file of these segments, each its type, its physical address and its bytes.
    fn elf(segments: &[(u32, u64, &[u8])]) -> Vec<u8> {
        const HEADER: usize = 64;
        const SEGMENT: usize = 56;
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(HEADER + SEGMENT * segments.len(), 0);
        file[20] = 1; // e_version
        file[32] = HEADER as u8; // e_phoff
        file[52] = HEADER as u8; // e_ehsize
        file[54] = SEGMENT as u8; // e_phentsize
        file[56] = segments.len() as u8; // e_phnum
        for (number, (kind, address, bytes)) in segments.iter().enumerate() {
            let offset = file.len() as u64;
            let mut put = |at: usize, value: u64| {
                let at = HEADER + number * SEGMENT + at;
                file[at..at + 8].copy_from_slice(&value.to_le_bytes());
            };
            put(0, u64::from(*kind));
            put(8, offset);
            put(16, 0xc000_0000_0000_0000); // p_vaddr
            put(24, *address); // p_paddr
            put(32, bytes.len() as u64); // p_filesz
            put(40, bytes.len() as u64 + 0x1000); // p_memsz
            file.extend_from_slice(bytes);
        }
        file
    }

    #[test]
    fn segments_lie_where_memory_has_them() {
        let file = elf(&[
            (PT_LOAD, 8, b"cd"),
            (PT_LOAD, 2, b"ab"),
            (object::elf::PT_NOTE, 0, b"xx"),
        ]);
        assert_eq!(image(&file).unwrap(), b"\0\0ab\0\0\0\0cd");
    }

    #[test]
    fn what_firmware_cannot_hold_is_refused() {
        assert!(image(&elf(&[(PT_LOAD, MOST, b"a")])).is_err());
        assert!(image(&elf(&[(PT_LOAD, u64::MAX, b"a")])).is_err());
        assert!(image(b"no ELF file").is_err());
    }
}
