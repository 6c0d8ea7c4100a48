//! What is there after the process was killed, and what is promised to be on the disk.

use super::*;

#[test]
fn the_next_start_removes_what_a_killed_process_left() {
    if skip_on_nginx("uploads") {
        return;
    }
    let hidden = |id: &str| format!("html/over/.webserv-upload-{id}-7");
    let (ours, other) = (hidden("01234567"), hidden("fedcba98"));
    let s = setup("").file(&ours, "half").file(&other, "another process's");
    let journal = format!("01234567\0{}/html/over\0/gone\0", s.dir().display());
    let mut s = running(s.file("logs/webserv.pid.uploads", journal));
    assert!(!s.exists(&ours), "{:?}", s.snapshot("html/over"));
    assert!(s.exists(&other));
    // What this process could leave is noted before it is made.
    s.method("POST", "/over/old.txt", "", b"new").is_one_of(&[200, 204]);
    let noted = String::from_utf8(s.read("logs/webserv.pid.uploads")).expect("paths of this test");
    assert!(noted.ends_with(&format!("\0{}/html/over\0", s.setup.dir().display())), "{noted:?}");
    s.stop();
    assert!(!s.exists("logs/webserv.pid.uploads"), "nothing to look through after an orderly end");
}
