//! Work on all log files: reopening them, replacing them by those that the parent has reopened, closing those that no
//! configuration names any more. A few files are handled at once, many in several turns; until its turn, a file's lines
//! go to the old file.

use super::Server;
use super::reload;
use super::reload_report;
use crate::config::model::Level;
use crate::services::logs::renew::Reopening;
use std::os::fd::OwnedFd;

/// Files between two looks at the clock. Where there are no more, all are open before a request that follows USR1.
const AT_ONCE: usize = 64;

impl Server {
    /// USR1 without a parent.
    pub(super) fn begin_reopening(&mut self) {
        self.log_work.reopening = Some(Reopening::default());
        self.reopen_logs();
    }

    /// USR1 under a parent, which has opened these files again.
    pub(super) fn take_logs(&mut self, files: impl Iterator<Item = (usize, OwnedFd)>) {
        self.log_work.handed.extend(files);
        self.cx.logs.forget_paths();
        self.replace_logs();
    }

    /// No exchange has a configuration whose logs are not those of the present one.
    pub(super) fn begin_retiring(&mut self) {
        self.log_work.retiring = Some(0);
        self.retire_logs();
    }

    /// Goes on with all that is under way.
    pub(super) fn work_on_logs(&mut self) {
        self.reopen_logs();
        self.replace_logs();
        self.retire_logs();
    }

    /// Whether a turn that has done some files goes on with the next one.
    fn has_time_for(&mut self, file: usize, done: usize) -> bool {
        let looks = done > 0 && (done.is_multiple_of(AT_ONCE) || self.cx.logs.compresses(file));
        !looks || !self.cx.slice.is_turn_over()
    }

    /// Failures are also reported to the requesting command: the error log itself may be what failed.
    fn reopen_logs(&mut self) {
        let Some(mut reopening) = self.log_work.reopening.take() else { return };
        let mut done = 0;
        while self.has_time_for(reopening.next(), done) {
            if !self.cx.logs.reopen_next(&mut reopening) {
                return self.reopened(reopening);
            }
            done += 1;
        }
        self.log_work.reopening = Some(reopening);
    }

    fn reopened(&mut self, reopening: Reopening) {
        self.reloads += 1;
        let Some(config_source) = &self.config_source else { return };
        let (lines, report) = reload::not_reopened(self.reloads, config_source, reopening.failed);
        let log = self.cx.config.process.error_log.clone();
        for line in lines {
            self.cx.logs.error(&log, Level::Emerg, &mut self.cx.now, None, format_args!("{line}"));
            self.cx.logs.copy_to_stderr(&log, &line);
        }
        if let Some(file) = &self.pid_file {
            reload_report::write(file.path(), &report);
        }
    }

    fn replace_logs(&mut self) {
        let mut done = 0;
        while let Some((file, _)) = self.log_work.handed.front()
            && self.has_time_for(*file, done)
            && let Some((file, fd)) = self.log_work.handed.pop_front()
        {
            self.cx.logs.replace(file, fd);
            done += 1;
        }
    }

    fn retire_logs(&mut self) {
        let Some(mut file) = self.log_work.retiring.take().filter(|_| !self.has_old_configs()) else { return };
        let mut done = 0;
        while self.has_time_for(file, done) {
            if !self.cx.logs.retire(file) {
                return;
            }
            (file, done) = (file + 1, done + 1);
        }
        self.log_work.retiring = Some(file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::parent_link::{ParentLink, logs_message};
    use crate::server::test_world::{World, read};
    use crate::services::slice::Slice;
    use crate::sys::process::SIGUSR1;
    use crate::sys::socket::pass;
    use std::fs;
    use std::io::Write;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::path::PathBuf;

    const COUNT: usize = 150;

    fn with_many_logs(parameters: &str) -> (World, Vec<PathBuf>) {
        let lines = |path: &str| -> String {
            let line = |n| format!("location /{n} {{ access_log {path}/log{n}{parameters}; return 200 x; }}");
            (0..COUNT).map(line).collect()
        };
        let world = World::with(lines);
        let logs = (0..COUNT).map(|n| world.dir.path().join(format!("log{n}"))).collect();
        (world, logs)
    }

    /// Thousands of logs were opened again in one turn: 39 ms for 4000.
    #[test]
    fn many_logs_are_opened_again_in_several_turns() {
        let (mut world, logs) = with_many_logs("");
        logs.iter().for_each(|log| fs::remove_file(log).expect("it is there"));
        world.server.cx.slice = Slice::over();
        world.server.signals.inject(SIGUSR1);
        world.server.handle_signals();
        let open = || logs.iter().filter(|log| log.exists()).count();
        // The error log is one of them.
        assert!((AT_ONCE - 1..=AT_ONCE).contains(&open()), "{}", open());
        assert!(world.server.next_due().is_some_and(|due| due <= world.server.cx.now.ms), "it goes on at once");
        while world.server.log_work.reopening.is_some() {
            world.turns();
        }
        assert_eq!(open(), COUNT);
    }

    /// Each message of the parent wrote, and compressed, what was pending for all logs, in one turn.
    #[test]
    fn many_logs_that_a_parent_opens_again_are_taken_in_several_turns() {
        let (mut world, logs) = with_many_logs(" combined gzip buffer=64k");
        let mut client = world.client("");
        for n in 0..COUNT {
            client.write_all(format!("GET /{n} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).expect("there is room");
            world.turns();
            assert!(read(&mut client).starts_with("HTTP/1.1 200"), "{n}");
        }
        let written = |from: &str| {
            let path = |log: &PathBuf| PathBuf::from(format!("{}{from}", log.display()));
            logs.iter().filter(|log| fs::metadata(path(log)).is_ok_and(|found| found.len() > 0)).count()
        };
        assert_eq!(written(""), 0, "they are held");
        let ids: Vec<(usize, PathBuf)> =
            world.server.cx.logs.descriptors().map(|(at, path, _)| (at, path.to_owned())).collect();
        let fresh = ids.into_iter().filter(|(_, path)| logs.contains(path)).map(|(at, path)| {
            fs::rename(&path, format!("{}.old", path.display())).expect("renamed");
            let file = fs::File::create(path).expect("created");
            (at, file.as_fd().try_clone_to_owned().expect("a descriptor"))
        });
        let fresh: Vec<_> = fresh.collect();
        let (parent, ours) = pass::pair().expect("descriptors");
        world.server.attach_parent(ParentLink::new(ours)).expect("epoll");
        for some in fresh.chunks(pass::MOST) {
            let (ids, fds): (Vec<u32>, Vec<BorrowedFd<'_>>) =
                some.iter().map(|(at, fd)| (*at as u32, fd.as_fd())).unzip();
            pass::send(parent.as_fd(), &logs_message(&ids), &fds).expect("there is room");
        }
        drop(fresh);
        world.server.cx.slice = Slice::over();
        world.server.read_parent_messages();
        assert_eq!(written(".old"), 1, "one that is compressed in a turn that has no more time");
        assert!(world.server.next_due().is_some_and(|due| due <= world.server.cx.now.ms), "it goes on at once");
        for _ in 0..COUNT {
            world.turns();
        }
        assert!(!world.server.log_work.is_under_way());
        assert_eq!((written(".old"), written("")), (COUNT, 0));
    }
}
