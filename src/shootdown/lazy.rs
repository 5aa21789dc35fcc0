//! Roots that are loaded for nobody: kernel threads and the idle task.

use super::Shootdown;
use crate::arch::{Arch, HardwareId};
use crate::cpu_set::CpuId;
use crate::platform::Platform;
use crate::space_id::SpaceId;

impl<P: Platform, const WORDS: usize> Shootdown<P, WORDS> {
    /// Announces that from here on this CPU keeps the loaded root for nobody: it switches to a kernel thread or to the idle task and
    /// borrows the root of the process that ran last. On architectures that interrupt, it is then asked only where tables are
    /// freed, and leaves the root when it is. Ended by [`Self::switch_to`], also to the same space, or by
    /// [`Self::switch_to_kernel`].
    ///
    /// # Context
    /// On the CPU itself, with interrupts off. Until the next switch nothing on this CPU accesses user addresses.
    pub fn enter_lazy(&self) {
        let _irqs_off = self.platform.irq_save();
        self.arch.enter_lazy(self.platform.cpu());
    }

    /// Prepares this CPU for a root of the kernel's own, which maps no process: no shootdown of user mappings concerns it any more.
    /// The kernel then loads that root with the identifier returned, and calls [`Self::root_loaded`].
    ///
    /// # Context
    /// On the CPU that switches, with interrupts off until the root is loaded; on AArch64 an ISB follows the load, as for
    /// [`switch_to`](Self::switch_to).
    pub fn switch_to_kernel(&self) -> HardwareId {
        self.arch.enter_kernel(self.platform.cpu())
    }

    /// To be called when the root of [`Self::switch_to`] or [`Self::switch_to_kernel`] has been loaded. Until then every shootdown of
    /// any space interrupts this CPU: a kernel that leaves the call out is slow, not wrong. Without effect on architectures that
    /// broadcast every invalidation.
    ///
    /// # Context
    /// On the CPU that switched, with interrupts still off; on AArch64 behind the ISB that follows the load of the root
    /// ([`switch_to`](Self::switch_to)), for until then the old one may still be walked.
    pub fn root_loaded(&self) {
        self.arch.root_loaded(self.platform.cpu());
    }

    /// Has the kernel leave a root that it borrowed, any or that of `space`. Called on this CPU with interrupts off.
    pub(super) fn leave_borrowed_root(&self, me: CpuId, space: Option<SpaceId>) {
        // Asked to leave one root, the kernel keeps another that it has borrowed since.
        let leaves = space.is_none_or(|space| self.arch.is_lazy(me, space));
        self.platform.leave_borrowed_root(space);
        if leaves {
            self.arch.left_borrowed_root(me);
        }
    }
}
