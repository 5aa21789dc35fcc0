//! How a run of a kernel ended, by its own account.

use std::process::ExitStatus;

use super::description::{End, Ends};

impl Ends {
    /// Which of the two it was; `None` for any other way, as one whose line is missing.
    pub(crate) fn which(&self, status: ExitStatus, serial: &str) -> Option<End> {
        let both = [self.well, self.panicked];
        both.into_iter().find(|end| end.is_meant(status, serial))
    }
}

impl End {
    fn is_meant(&self, status: ExitStatus, serial: &str) -> bool {
        let said = self
            .line
            .is_none_or(|expected| serial.lines().any(|line| line.trim_end() == expected));
        status.code() == Some(self.status) && said
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_status_that_qemu_may_choose_needs_its_line() {
        let ends = Ends {
            well: End {
                status: 0,
                line: None,
            },
            panicked: End {
                status: 1,
                line: Some("end Panicked"),
            },
        };
        let ended = |code: i32, serial| ends.which(ExitStatus::from_raw(code << 8), serial);
        assert_eq!(ended(0, ""), Some(ends.well));
        assert_eq!(ended(1, "x\nend Panicked\r\n"), Some(ends.panicked));
        assert_eq!(ended(1, "no such machine"), None);
        assert_eq!(ended(2, "end Panicked"), None);
    }
}
