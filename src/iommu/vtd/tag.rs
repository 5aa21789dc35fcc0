//! What the unit tags cached entries with, and the descriptors that name a tag in each mode.

use super::command::Command;
use super::config::Mode;
use super::features::Features;
use super::ids::{DomainId, Pasid};
use super::span::Block;
use crate::flush::Depth;

/// One tag must never stand for two page tables. In legacy mode the domain alone is the tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) domain: DomainId,
    pub(super) pasid: Pasid,
}

impl Tag {
    /// The cached table entries that lead to the address space.
    pub(super) const fn entries(self, mode: Mode) -> Command {
        match mode {
            Mode::Scalable => Command::pasid_cache_pasid(self.domain, self.pasid),
            Mode::Legacy => Command::context_cache_domain(self.domain),
        }
    }

    /// All of its cached translations.
    pub(super) const fn whole(self, mode: Mode, features: &Features) -> Command {
        match mode {
            Mode::Scalable => Command::pasid_iotlb_all(self.domain, self.pasid),
            Mode::Legacy => Command::iotlb_domain(self.domain, features.drain),
        }
    }

    /// The cached translations of a block; all of them for one that is larger than the unit takes.
    pub(super) fn pages(
        self,
        mode: Mode,
        features: &Features,
        block: Block,
        depth: Depth,
    ) -> Command {
        let most = features.largest_mask;
        let command = match mode {
            Mode::Scalable => {
                Command::pasid_iotlb_pages(self.domain, self.pasid, block, depth, most)
            }
            Mode::Legacy => Command::iotlb_pages(self.domain, block, depth, features.drain, most),
        };
        command.unwrap_or(self.whole(mode, features))
    }
}
