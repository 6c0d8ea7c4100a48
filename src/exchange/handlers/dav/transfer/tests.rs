//! How far a COPY or MOVE gets in a turn, and when what it did is taken back.

use super::*;
use crate::exchange::handlers::resumable::held::begin_elsewhere;
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

/// A site whose files share 300 000 bytes with 1140 uploads of 100 bytes, of which other processes ended the last ones.
fn quota(ended: usize) -> Site {
    let mut site = Site::new("", "location / { dav_methods COPY MOVE; upload_quota 300000 shared; }");
    let area = format!("{}/", site.root().display());
    begin_elsewhere(&mut site, &area, (1140, ended));
    site
}

/// The rest of a transfer, in turns that are too short for a look at all uploads: its status. None: it does not end.
fn in_short_turns(transfer: &mut Transfer, ex: &mut Exchange, cx: &mut Services) -> Option<u16> {
    for _ in 0..1000 {
        cx.now.advance();
        cx.slice.steps = Some(3);
        if transfer.work(ex, cx) != Flow::Wait {
            return Some(ex.response.status.0);
        }
    }
    None
}

/// It asked in turn for what there was room for and for what there was none for.
#[test]
fn a_copy_of_a_file_that_grew_beyond_a_shared_quota_ends() {
    for (ended, size, expected) in [(0, 150_000, 507), (1140, 150_000, 204), (0, 50_000, 204)] {
        let mut site = quota(ended);
        site.scratch.write("html/a", b"a");
        let mut ex = site.at("COPY /a", &["Destination: /b"], INSIDE);
        let cx = &mut site.cx;
        cx.slice.steps = Some(0);
        let Ok(mut transfer) = run(&mut ex, cx) else { panic!("{size}: {}", ex.response.status.0) };
        site.scratch.write("html/a", &vec![b'a'; size]);
        assert_eq!(in_short_turns(&mut transfer, &mut ex, cx), Some(expected), "{ended} {size}");
        assert_eq!(site.scratch.path().join("html/b").exists(), expected == 204, "{ended} {size}");
    }
}

/// What a copy was to replace has another name by now: it adds all of its bytes.
#[test]
fn a_copy_that_no_longer_replaces_a_file_does_not_exceed_a_shared_quota() {
    for (ended, expected) in [(0, 507), (1140, 204)] {
        let mut site = quota(ended);
        ["html/a", "html/b"].iter().for_each(|name| site.scratch.write(name, &[b'a'; 80_000]));
        let mut ex = site.at("COPY /a", &["Destination: /b"], INSIDE);
        let cx = &mut site.cx;
        cx.slice.steps = Some(0);
        let Ok(mut transfer) = run(&mut ex, cx) else { panic!("{ended}: {}", ex.response.status.0) };
        while !matches!(transfer.stage, Stage::Placing(_)) {
            cx.now.advance();
            cx.slice.steps = Some(3);
            assert_eq!(transfer.step(&mut ex, cx), Ok(()), "{ended}: {}", ex.response.status.0);
        }
        let html = site.scratch.path().join("html");
        fs::rename(html.join("b"), html.join("c")).expect("renamed");
        assert_eq!(in_short_turns(&mut transfer, &mut ex, cx), Some(expected), "{ended}");
        assert_eq!(html.join("b").exists(), expected == 204, "{ended}");
    }
}
