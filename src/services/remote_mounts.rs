//! Which directories are on remote file systems, according to the kernel's mount list, which can be read without
//! accessing them.

const PATH: &str = "/proc/self/mountinfo";
/// Prefixes of their type names.
const REMOTE: [&[u8]; 12] =
    [b"nfs", b"cifs", b"smb", b"ceph", b"9p", b"afs", b"coda", b"fuse", b"lustre", b"ncp", b"beegfs", b"virtiofs"];

/// The mount points of remote file systems.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RemoteMounts(Vec<Vec<u8>>);

impl RemoteMounts {
    /// The current ones; empty if the list cannot be read.
    pub fn read() -> RemoteMounts {
        RemoteMounts::parse(&std::fs::read(PATH).unwrap_or_default())
    }

    /// From the text of `/proc/self/mountinfo`.
    pub(super) fn parse(text: &[u8]) -> RemoteMounts {
        RemoteMounts(text.split(|b| *b == b'\n').filter_map(remote).collect())
    }

    /// Whether the path is one of them, or below one.
    pub fn hold(&self, path: &[u8]) -> bool {
        self.0.iter().any(|mount| {
            // The root's name ends in the slash that follows.
            let mount = mount.strip_suffix(b"/").unwrap_or(mount);
            path.strip_prefix(mount).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
        })
    }
}

/// The mount point in a line, if the file system is remote: `36 35 0:52 / /srv rw shared:1 - nfs4 host:/x rw`.
fn remote(line: &[u8]) -> Option<Vec<u8>> {
    let separator = memchr::memmem::find(line, b" - ")?;
    let kind = line[separator + 3..].split(|b| *b == b' ').next()?;
    let mount = line[..separator].split(|b| *b == b' ').nth(4)?;
    REMOTE.iter().any(|name| kind.starts_with(name)).then(|| unescaped(mount))
}

/// Spaces and the like are escaped as `\040`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let digits =
            text.get(at + 1..at + 4).filter(|digits| *byte == b'\\' && digits.iter().all(|b| matches!(b, b'0'..=b'7')));
        match digits {
            Some(digits) => {
                out.push(digits.iter().fold(0, |number: u8, b| number.wrapping_mul(8).wrapping_add(b - b'0')))
            }
            None => out.push(*byte),
        }
        at += if digits.is_some() { 4 } else { 1 };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_other_machines_are_known_by_their_kind() {
        let text = "1 0 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
                    36 1 0:52 / /srv/a\\040b rw,relatime shared:1 - nfs4 host:/x rw\n\
                    37 1 0:53 / /mnt/ssh rw - fuse.sshfs me@host: rw\n\
                    38 1 0:54 / /tmp rw - tmpfs nfs rw\nodd\n";
        let mounts = RemoteMounts::parse(text.as_bytes());
        for (path, expected) in [
            ("/srv/a b", true),
            ("/srv/a b/c", true),
            ("/srv/a", false),
            ("/srv/a bc", false),
            ("/mnt/ssh/up", true),
            ("/tmp/x", false),
            ("/", false),
        ] {
            assert_eq!(mounts.hold(path.as_bytes()), expected, "{path}");
        }
        assert_eq!(RemoteMounts::parse(b""), RemoteMounts::default());
        let root = RemoteMounts::parse(b"1 0 0:30 / / rw - nfs4 host:/x rw\n");
        assert!(root.hold(b"/") && root.hold(b"/srv/up"), "all lies in a root of another machine");
    }
}
