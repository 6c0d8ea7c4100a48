//! Identifies the current boot of this machine: data written before the last boot and not yet on disk may be lost or
//! incomplete.

/// Equal for two processes that ran between the same two boots.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Boot {
    machine: u128,
    start: u128,
}

impl Boot {
    /// None if the kernel does not provide it.
    pub fn read() -> Option<Boot> {
        let hex = |path: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            u128::from_str_radix(&text.trim().replace('-', ""), 16).ok()
        };
        let start = hex("/proc/sys/kernel/random/boot_id")?;
        // Containers may lack a machine-id: then all machines count as one, which costs bytes but is safe.
        Some(Boot { machine: hex("/etc/machine-id").unwrap_or(0), start })
    }

    /// Whether the same machine was booted after `then`.
    pub fn is_later_than(self, then: Boot) -> bool {
        self.machine == then.machine && self.start != then.start
    }

    /// 64 hex digits.
    pub fn text(self) -> String {
        format!("{:032x}{:032x}", self.machine, self.start)
    }

    /// As it was written: 64 hexadecimal digits. None: it is something else.
    pub fn parse(text: &[u8]) -> Option<Boot> {
        let hex = |part: Option<&[u8]>| {
            let digits = part.filter(|part| part.iter().all(u8::is_ascii_hexdigit))?;
            u128::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
        };
        (text.len() == 64).then_some(())?;
        Some(Boot { machine: hex(text.get(..32))?, start: hex(text.get(32..))? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_of_the_same_machine_is_known() {
        let boot = |machine, start| Boot { machine, start };
        let now = boot(1, 2);
        assert_eq!(Boot::parse(now.text().as_bytes()), Some(now));
        assert!(now.is_later_than(boot(1, 3)));
        assert!(!now.is_later_than(now));
        assert!(!now.is_later_than(boot(2, 3)), "another machine writes there too");
        for text in ["", "0", &"g".repeat(64), &"0".repeat(63), &"-".repeat(64)] {
            assert_eq!(Boot::parse(text.as_bytes()), None, "{text}");
        }
    }
}
