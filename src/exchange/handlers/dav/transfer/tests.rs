//! How far a COPY or MOVE gets in a turn, and when what it did is taken back.

use super::*;
use crate::exchange::testing::{INSIDE, Site};
use std::fs;

fn site() -> Site {
    let site = Site::new("", "location / { dav_methods COPY MOVE; dav_ext_methods PROPFIND; upload_sync on; }");
    let root = site.root();
    fs::create_dir_all(root.join("d/in")).expect("made");
    ["a", "d/f", "d/in/g"].iter().for_each(|name| fs::write(root.join(name), name).expect("written"));
    site
}

#[test]
fn a_transfer_that_has_time_makes_all_its_steps_in_one_turn() {
    for (line, to) in [("COPY /a", "/b"), ("MOVE /a", "/b"), ("COPY /d/", "/e/"), ("MOVE /d/", "/e/")] {
        for (steps, is_done) in [(u32::MAX, true), (1, false)] {
            let locations = "location / { dav_methods COPY MOVE; dav_ext_methods PROPFIND; }";
            let mut site = Site::new("", locations);
            fs::create_dir_all(site.root().join("d/in")).expect("made");
            site.scratch.write("html/a", b"a");
            let mut ex = site.at(line, &[&format!("Destination: {to}")], INSIDE);
            site.cx.slice.steps = Some(steps);
            let outcome = run(&mut ex, &mut site.cx);
            assert_eq!(outcome.is_err(), is_done, "{line} {steps}");
            if let Ok(mut transfer) = outcome {
                while transfer.work(&mut ex, &mut site.cx) == Flow::Wait {}
            }
            assert_eq!(ex.response.status, Status::CREATED, "{line} {steps}");
            assert!(site.scratch.path().join("html").join(to.trim_matches('/')).exists(), "{line} {steps}");
        }
    }
}

/// What has happened to the new name before it could be written to the disk.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Since {
    Nothing,
    /// Another file has it.
    Replaced,
    Removed,
    /// A request has put something into the copy of a tree.
    Filled,
    /// It is not known whether one has.
    Unwatched,
    /// It is on the disk after all.
    Final,
    /// What it replaced is gone.
    Lost,
}

#[test]
fn a_new_name_is_taken_back_only_while_it_is_the_transfers_own() {
    use Since::{Filled, Final, Lost, Nothing, Removed, Replaced, Unwatched};
    for (line, to, since, expected) in [
        ("COPY /a", "b", Nothing, true),
        ("COPY /a", "b", Unwatched, true),
        ("COPY /a", "b", Replaced, false),
        ("COPY /a", "b", Removed, false),
        ("COPY /a", "b", Final, false),
        ("COPY /a", "b", Lost, false),
        ("MOVE /a", "b", Nothing, true),
        ("MOVE /a", "b", Replaced, false),
        ("COPY /d/", "e", Nothing, true),
        ("COPY /d/", "e", Filled, false),
        ("COPY /d/", "e", Unwatched, false),
        ("COPY /d/", "e", Replaced, false),
        ("COPY /d/", "e", Final, false),
        // A rename brings back whatever is in it by now.
        ("MOVE /d/", "e", Filled, true),
        ("MOVE /d/", "e", Unwatched, true),
        ("MOVE /d/", "e", Replaced, false),
    ] {
        let mut site = site();
        let mut ex = site.at(line, &[&format!("Destination: /{to}")], INSIDE);
        let cx = &mut site.cx;
        cx.slice.steps = Some(0);
        let Ok(mut transfer) = run(&mut ex, cx) else { panic!("{line}: {}", ex.response.status.0) };
        let path = site.scratch.path().join("html").join(to);
        let make = || if transfer.judging.is_tree { fs::create_dir(&path) } else { fs::write(&path, "new") };
        make().expect("made");
        let stat = file::stat_at(Some(transfer.job.to()), &transfer.job.target.name, Follow::No).expect("made");
        transfer.named = Some((stat.dev, stat.ino));
        if transfer.judging.is_tree && since != Unwatched {
            let name = &transfer.job.target.name;
            let copy = file::open_at(Some(transfer.job.to()), name, O_PATH | O_DIRECTORY, 0).expect("it opens");
            transfer.filled = cx.checked_trees.watch(copy.as_fd()).ok();
            if since == Filled {
                cx.checked_trees.name_added(copy.as_fd());
            }
        }
        match since {
            Nothing | Filled | Unwatched => {}
            Replaced => {
                let aside = path.with_extension("aside");
                fs::rename(&path, aside).expect("renamed");
                fs::write(&path, "another").expect("written");
            }
            Removed => fs::remove_file(&path).expect("removed"),
            Final => transfer.is_final = true,
            Lost => transfer.job.has_lost.set(true),
        }
        assert_eq!(transfer.may_go_back(), expected, "{line} {since:?}");
    }
}
