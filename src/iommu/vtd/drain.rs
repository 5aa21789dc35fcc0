//! The end of a PASID's page requests (VT-d 7.10), beside the end of its translations.

use super::Vtd;
use super::command::WaitOptions;
use super::config::Mode;
use super::error::{AttachError, Unsupported};
use super::queue::FENCE;
use super::registers;
use super::span::Blocks;
use crate::dma::{DmaBarriers, Mmio};
use crate::lock::RingLock;
use crate::secondary::AttachKey;

/// The last wait: holds back what follows, and drains.
const DRAIN: WaitOptions = WaitOptions {
    fence: true,
    drain_page_requests: true,
};

impl<M, B, L, const S: usize, const P: usize> Vtd<M, B, L, S, P>
where
    M: Mmio,
    B: DmaBarriers,
    L: RingLock,
{
    /// Drains the page requests of an address space: afterwards every request that its devices have sent is in the page-request queue,
    /// or has been answered by the unit.
    ///
    /// The kernel calls it after it has stopped the devices' use of the address space and before [`Self::detach`], empties its
    /// page-request queue before (the unit answers no wait while a request finds no room) and handles what is in it after. The sequence is
    /// a wait with FN, the IOTLB, the device TLBs, and a wait with PD.
    ///
    /// # Errors
    /// [`AttachError::Unsupported`] without ECAP.PDS and in legacy mode, [`AttachError::UnknownKey`], [`AttachError::RequestsLost`] where the queue has
    /// overflowed (PRS.PRO): the kernel clears that and drains again; [`AttachError::Timeout`], [`AttachError::Failed`].
    pub fn drain_page_requests(
        &self,
        key: AttachKey,
        wait: &mut dyn FnMut() -> bool,
    ) -> Result<(), AttachError> {
        let legacy = self.hardware().config.mode == Mode::Legacy;
        if legacy || !self.features().page_request_drain {
            return Err(Unsupported::PageRequests.into());
        }
        let size = self.locked(|l| {
            let (index, _) = l.state.spaces.find(key)?;
            Some(2 + 2 * l.count_tags(index) + l.count_flushes(index, &Blocks::ALL))
        });
        let size = size.ok_or(AttachError::UnknownKey)?;
        self.run_with(DRAIN, wait, size, &mut |l| {
            if let Some((index, _)) = l.state.spaces.find(key) {
                l.put_wait(FENCE);
                l.put_tag_flushes(index);
                l.put_device_flushes(index);
            }
        })
        .map_err(|halt| AttachError::halted(halt, Some(key)))?;
        let state = self.hardware().registers.read32(registers::PRS);
        if state & registers::PRS_OVERFLOW != 0 {
            return Err(AttachError::RequestsLost);
        }
        Ok(())
    }
}
