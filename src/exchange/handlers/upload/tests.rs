//! A directory of a test's own, removed when the test ends.

mod places;
mod whole;

use crate::sys::file::{self, O_DIRECTORY, O_PATH};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};

pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    pub fn new() -> Scratch {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("webserv-upload-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a fresh scratch directory");
        Scratch { path }
    }

    pub fn dir(&self) -> Rc<OwnedFd> {
        let path = CString::new(self.path.as_os_str().as_bytes()).expect("no NUL");
        Rc::new(file::open_at(None, &path, O_PATH | O_DIRECTORY, 0).expect("the scratch directory opens"))
    }

    pub fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path.join(name), content).expect("a scratch file is written");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path.join(name)).expect("a scratch file is read")
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path.join(name)).expect("a scratch file is removed");
    }

    pub fn make_dir(&self, name: &str) {
        fs::create_dir(self.path.join(name)).expect("a scratch directory is made");
    }

    pub fn link(&self, name: &str, target: &str) {
        std::os::unix::fs::symlink(Path::new(target), self.path.join(name)).expect("a scratch link is made");
    }

    pub fn exists(&self, name: &str) -> bool {
        self.path.join(name).exists()
    }

    /// Names in order, hidden ones too.
    pub fn names(&self) -> Vec<String> {
        self.snapshot().into_keys().collect()
    }

    /// Names and contents; a directory has none.
    pub fn snapshot(&self) -> BTreeMap<String, Option<Vec<u8>>> {
        let entries = fs::read_dir(&self.path).expect("the scratch directory is read");
        entries
            .map(|entry| {
                let entry = entry.expect("an entry");
                (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).ok())
            })
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// glibc keeps chunks of up to 1032 bytes by thread; a larger one took 500 instructions of each upload.
#[test]
fn an_upload_is_small_enough_for_the_short_way_of_the_allocator() {
    let (upload, part) = (size_of::<super::state::Upload>(), size_of::<super::temp_file::Part>());
    println!("{upload} bytes of an upload, {part} of a file of it");
    assert!(upload <= 1032 && part <= 1032, "{upload} bytes of an upload, {part} of a file of it");
}
