//! A block of registers, and the lies that are told about them.

/// Values by byte offset.
pub(super) struct Registers {
    words: Vec<u32>,
    /// What the next reads of an offset show, whatever is there.
    lies: Vec<(usize, u32)>,
}

impl Registers {
    pub(super) fn new(len: usize) -> Self {
        Self {
            words: vec![0; len / 4],
            lies: Vec::new(),
        }
    }

    pub(super) fn get(&self, offset: usize) -> u32 {
        self.words[offset / 4]
    }

    pub(super) fn get64(&self, offset: usize) -> u64 {
        u64::from(self.get(offset)) | u64::from(self.get(offset + 4)) << 32
    }

    pub(super) fn set(&mut self, offset: usize, value: u32) {
        self.words[offset / 4] = value;
    }

    pub(super) fn set64(&mut self, offset: usize, value: u64) {
        self.set(offset, value as u32);
        self.set(offset + 4, (value >> 32) as u32);
    }

    /// The next read of this offset shows this.
    pub(super) fn lie(&mut self, offset: usize, value: u32) {
        self.lies.push((offset, value));
    }

    /// What a read shows.
    pub(super) fn show(&mut self, offset: usize) -> u32 {
        match self.lies.iter().position(|lie| lie.0 == offset) {
            Some(index) => self.lies.remove(index).1,
            None => self.get(offset),
        }
    }

    /// Everything is as it is again.
    pub(super) fn be_honest(&mut self) {
        self.lies.clear();
    }
}
