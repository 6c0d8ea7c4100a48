//! A temporary directory for a test, removed when the test ends.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The directory, and all in it, goes when this is dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A directory of a new name in the system's directory for temporary files.
    pub fn new() -> Scratch {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("webserv-sys-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a fresh scratch directory");
        Scratch { path }
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in it, for system calls.
    pub fn join(&self, name: &str) -> CString {
        c_path(&self.path.join(name))
    }

    /// The directory, opened for reading.
    pub fn fd(&self) -> OwnedFd {
        OwnedFd::from(std::fs::File::open(&self.path).expect("the scratch directory opens"))
    }

    /// Makes or replaces a file.
    pub fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path.join(name), content).expect("a scratch file is written");
    }

    /// The content of the file at that path.
    pub fn read(&self, name: &CStr) -> Vec<u8> {
        std::fs::read(self.path.join(name.to_str().expect("test names are UTF-8"))).expect("a scratch file is read")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// For system calls.
pub fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("test paths hold no NUL")
}
