//! Running CGI programs: their number, their STDERR, and their termination. A program that is no longer needed gets
//! TERM, then KILL.
//!
//! SIGCHLD reports terminations: a pidfd per program would cost four more system calls. STDERR pipes are in a separate
//! epoll, which the event loop watches. Invariant: a process group gets signals only until its leader is reaped, since
//! its number may be reused after that. Therefore all children of this process are reaped here. A program that was
//! ended by a signal is reaped only after KILL has been sent to the rest of its group; until then it counts as running,
//! but makes room for the next program if necessary.

mod stderr;

use crate::sys::Errno;
use crate::sys::epoll::{self, Epoll, Events, Timeout};
use crate::sys::file;
use crate::sys::process::child::{self, Program};
use crate::sys::process::{self, Exit, SIGKILL, Strings};
use crate::sys::socket;
use crate::util::slab::{Key, Slab};
use std::collections::VecDeque;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// SIGTERM has the same number on all Linux architectures.
const SIGTERM: i32 = 15;
/// Milliseconds between the end of a response and TERM: a program may still have work to do.
const TERM_DELAY: u64 = 10_000;
/// Milliseconds between TERM and KILL.
const KILL_DELAY: u64 = 3_000;
/// One-shot: a program that terminates needs no further epoll call.
const STDERR_EVENTS: u32 = epoll::IN | epoll::ONESHOT;
/// Maximum reads of STDERR per turn, of all programs that were reported: programs that write without end must not block
/// the loop. Each is read once at least.
const READS: usize = 16;

/// The programs of this process.
#[derive(Default)]
pub struct Children {
    epoll: Option<Epoll>,
    events: Option<Events>,
    running: Slab<Child>,
    /// Terminated programs that are not reaped yet, in order of termination.
    over: VecDeque<Key>,
    lines: Vec<Line>,
    /// The readers of terminated programs, with the exit statuses.
    ended: Vec<(Key, Exit)>,
    ends: Ends,
    /// /dev/null: the input of programs without one, and their STDERR if it is not logged.
    null: Option<OwnedFd>,
}

/// What is known about terminated children of this process.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Ends {
    #[default]
    Reaped,
    /// There may be some that are not programs, behind a program that is not reaped yet.
    Behind,
    /// One was reaped, or a SIGCHLD arrived: more can be found.
    Reachable,
}

struct Child {
    pid: i32,
    /// The program has terminated; others of its group may run until the signal.
    is_over: bool,
    stderr: Option<OwnedFd>,
    reported: Reported,
    text: Vec<u8>,
    /// Bytes of STDERR read.
    wrote: usize,
    /// Bytes added to the error log, about.
    logged: usize,
    /// The script, for the log.
    shown: Box<str>,
    /// The connection that reads its output.
    reader: Option<Key>,
    /// The next signal and its time.
    signal: Option<(i32, u64)>,
}

/// The state of a program's STDERR in the epoll.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reported {
    /// Not registered: the STDERR of a short-lived program is read when it has terminated.
    Never,
    /// Registered one-shot.
    Once,
    /// Reported: must be re-armed if there may be more.
    Done,
}

/// A line that a program wrote to STDERR.
pub struct Line {
    /// Without its line end.
    pub text: String,
    /// The script's name for the log.
    pub script: Box<str>,
}

/// A program to be started.
pub struct Start<'a> {
    /// The program: an absolute path.
    pub path: CString,
    /// `argv`, its name first.
    pub args: Strings,
    /// The environment, `NAME=value` each.
    pub env: Strings,
    /// The working directory.
    pub dir: CString,
    /// None: empty input.
    pub stdin: Option<BorrowedFd<'a>>,
    /// The name for the log.
    pub shown: Box<str>,
    /// Limit of CPU time (RLIMIT_CPU).
    pub cpu_seconds: u64,
    /// Whether STDERR goes to the error log; otherwise it is discarded.
    pub logs: bool,
}

/// Why a program is no longer needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReleaseReason {
    /// Its response is complete.
    Done,
    /// It timed out, or the client is gone.
    Unwanted,
}

impl Children {
    /// The epoll that the event loop watches. None if there was nothing to watch yet.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.epoll.as_ref().map(Epoll::fd)
    }

    /// Whether fewer than `most` programs run. If terminated ones take up room, the rest of their groups is killed at
    /// once, so that disconnecting clients neither make others wait nor leave more processes than allowed.
    pub fn has_room(&mut self, most: u64) -> bool {
        while self.running.len() as u64 >= most {
            let Some(key) = self.over.pop_front() else { return false };
            self.finish(key);
        }
        true
    }

    /// Kills the rest of a terminated program's group, and makes its room available.
    fn finish(&mut self, key: Key) {
        if let Some(over) = self.running.remove(key) {
            over.send(SIGKILL);
            self.reap(over.pid);
        }
    }

    /// Records terminated programs. Reaps other children of this process (helpers, a new binary, and as PID 1 all
    /// orphans) and returns their pids. A terminated program that waits for its group's last signal hides children that
    /// terminate later: they are reaped after it.
    pub fn reap_ended(&mut self) -> Vec<i32> {
        let mut reaped = Vec::new();
        self.ends = Ends::Reaped;
        while let Ok(Some(pid)) = process::peek_ended() {
            let program = self.running.iter().find(|(_, running)| running.pid == pid);
            match program.map(|(key, running)| (key, running.is_over)) {
                Some((_, true)) => {
                    let is_over = |running: &Child| !running.is_over && child::peek_exit(running.pid).is_some();
                    let over: Vec<Key> =
                        self.running.iter().filter(|(_, running)| is_over(running)).map(|(key, _)| key).collect();
                    over.into_iter().for_each(|key| self.has_ended(key));
                    self.ends = Ends::Behind;
                    break;
                }
                Some((key, false)) => self.has_ended(key),
                None => {
                    child::reap_one(pid);
                    reaped.push(pid);
                }
            }
        }
        reaped
    }

    /// Records that a child of this process may have terminated.
    pub fn may_have_ended(&mut self) {
        self.ends = Ends::Reachable;
    }

    /// Whether a program still runs: one that has answered may have work to do, for [`TERM_DELAY`]. A program that even
    /// KILL has not ended (it waits for a dead network file system) does not count.
    pub fn are_working(&self) -> bool {
        self.running.iter().any(|(_, running)| !running.is_over && running.signal.is_some())
    }

    /// Whether [`Children::reap_ended`] may find children that were unknown or hidden before.
    pub fn may_be_reaped(&self) -> bool {
        self.ends == Ends::Reachable
    }

    /// Reaps a child; returns how it terminated.
    fn reap(&mut self, pid: i32) -> Option<Exit> {
        if self.ends == Ends::Behind {
            self.ends = Ends::Reachable;
        }
        child::reap_one(pid)
    }

    /// Starts a program. Returns its key, and the pipe from which its output is read.
    ///
    /// # Errors
    /// The system call that failed, and its error.
    pub fn start(&mut self, start: Start<'_>) -> Result<(Key, OwnedFd), (&'static str, Errno)> {
        let null: &OwnedFd = match &mut self.null {
            Some(null) => null,
            none => {
                // Descriptors inherited from the server's parent must not be inherited by programs.
                child::close_on_exec();
                none.insert(file::null().map_err(|e| ("open()", e))?)
            }
        };
        let (output, stdout) = pipe()?;
        let (errors, stderr) =
            if start.logs { pipe().map(|(errors, stderr)| (Some(errors), Some(stderr)))? } else { (None, None) };
        let program = Program {
            path: &start.path,
            args: &start.args,
            env: &start.env,
            dir: &start.dir,
            stdin: start.stdin.unwrap_or(null.as_fd()),
            stdout: stdout.as_fd(),
            stderr: stderr.as_ref().unwrap_or(null).as_fd(),
            cpu_seconds: start.cpu_seconds,
        };
        let pid = child::start(&program).map_err(|e| ("execve()", e))?;
        let key = self.running.insert(Child {
            pid,
            is_over: false,
            stderr: errors,
            reported: Reported::Never,
            text: Vec::new(),
            wrote: 0,
            logged: 0,
            shown: start.shown,
            reader: None,
            signal: None,
        });
        Ok((key, output))
    }

    /// Registers the STDERR of a program that did not terminate immediately. If that fails, it is read at termination.
    pub fn watch(&mut self, key: Key) {
        let Some(running) = self.running.get_mut(key) else { return };
        let Some(stderr) = running.stderr.as_ref().filter(|_| running.reported == Reported::Never) else { return };
        if self.epoll.is_none() {
            self.epoll = Epoll::new().ok();
        }
        let added = self.epoll.as_ref().map(|epoll| epoll.add(stderr.as_fd(), STDERR_EVENTS, key.to_u64()));
        if added == Some(Ok(())) {
            running.reported = Reported::Once;
        }
    }

    /// Sets the reader of a program's output, to wake when the program terminates, even if other processes hold the
    /// pipe open.
    pub fn read_by(&mut self, key: Key, reader: Key) {
        if let Some(running) = self.running.get_mut(key) {
            running.reader = Some(reader);
        }
    }

    /// The readers of terminated programs, with the exit statuses.
    pub fn ended(&mut self) -> Vec<(Key, Exit)> {
        std::mem::take(&mut self.ended)
    }

    /// How a program terminated whose output has ended; None: it is still running, and its reader will be woken.
    pub fn exit_of(&self, key: Key) -> Option<Exit> {
        child::peek_exit(self.running.get(key)?.pid)
    }

    /// Releases a program whose output is no longer read.
    pub fn leave(&mut self, key: Key, leave: ReleaseReason, now: u64) {
        self.watch(key);
        let Some(running) = self.running.get_mut(key) else { return };
        match leave {
            ReleaseReason::Done => running.signal = Some((SIGTERM, now + TERM_DELAY)),
            ReleaseReason::Unwanted => {
                running.send(SIGTERM);
                running.signal = Some((SIGKILL, now + KILL_DELAY));
            }
        }
    }

    /// Reads the STDERR of programs.
    pub fn receive(&mut self) {
        let Some(epoll) = &self.epoll else { return };
        let mut events = self.events.take().unwrap_or_default();
        let count = epoll.wait(&mut events, Timeout::Now).unwrap_or(0);
        let reads = READS.checked_div(count).unwrap_or(READS).max(1);
        for (token, _) in events.iter().take(count) {
            let key = Key::from_u64(token);
            if let Some(running) = self.running.get_mut(key) {
                running.reported = Reported::Done;
                running.read(epoll, key, reads, &mut self.lines);
            }
        }
        self.events = Some(events);
    }

    /// Handles the termination of a program. It is reaped unless a signal must still be sent to its group.
    fn has_ended(&mut self, key: Key) {
        let Some(running) = self.running.get_mut(key) else { return };
        running.is_over = true;
        running.take_lines(self.epoll.as_ref(), READS, &mut self.lines);
        running.last_line(&mut self.lines);
        running.close_stderr(self.epoll.as_ref());
        let (pid, reader) = (running.pid, running.reader);
        let exit = if matches!(running.signal, Some((SIGKILL, _))) {
            self.over.push_back(key);
            child::peek_exit(pid)
        } else {
            self.running.remove(key);
            self.reap(pid)
        };
        self.ended.extend(reader.map(|reader| (reader, exit.unwrap_or(Exit::Code(0)))));
    }

    /// Takes the lines that were complete since the last call.
    pub fn lines(&mut self) -> Vec<Line> {
        std::mem::take(&mut self.lines)
    }

    /// Monotonic milliseconds; None: nothing is due.
    pub fn next_due(&self) -> Option<u64> {
        if self.may_be_reaped() {
            return Some(0);
        }
        self.running.iter().filter_map(|(_, running)| running.signal.map(|(_, at)| at)).min()
    }

    /// Sends the signals that are due.
    pub fn expire(&mut self, now: u64) {
        let mut over = Vec::new();
        for (key, running) in self.running.iter_mut() {
            match running.signal.filter(|(_, at)| *at <= now) {
                Some(_) if running.is_over => over.push(key),
                Some((signal, _)) => {
                    running.send(signal);
                    running.signal = (signal != SIGKILL).then_some((SIGKILL, now + KILL_DELAY));
                }
                None => {}
            }
        }
        if !over.is_empty() {
            over.into_iter().for_each(|key| self.finish(key));
            self.over.retain(|key| self.running.get(*key).is_some());
        }
    }

    /// Ends all programs, since this process exits.
    pub fn end(&mut self) {
        for (_, running) in self.running.iter_mut() {
            running.send(if running.is_over { SIGKILL } else { SIGTERM });
        }
    }
}

/// A pipe; the second end is the program's, which is blocking: programs expect writes to a full pipe to wait.
fn pipe() -> Result<(OwnedFd, OwnedFd), (&'static str, Errno)> {
    let (output, program) = file::pipe().map_err(|e| ("pipe2()", e))?;
    socket::set_nonblocking(program.as_fd(), false).map_err(|e| ("ioctl()", e))?;
    Ok((output, program))
}

impl Child {
    fn send(&self, signal: i32) {
        // It is not reaped yet, so its number cannot have been reused.
        let _ = child::signal_group(self.pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::stderr::{LINE, LINE_WORDS, LOGGED, MOST};
    use super::*;

    fn c(text: &str) -> CString {
        CString::new(text).expect("no NUL")
    }

    /// Starts a program of which one process ignores TERM, and waits until that process is running. Returns its key and
    /// output.
    fn start(children: &mut Children) -> (Key, OwnedFd) {
        let begun = run(children, "(trap '' TERM; echo deaf; while :; do sleep 1; done) & wait");
        let output = &begun.1;
        socket::set_nonblocking(output.as_fd(), false).expect("a pipe");
        assert_eq!(read(output), b"deaf\n");
        begun
    }

    fn run(children: &mut Children, script: &str) -> (Key, OwnedFd) {
        let mut args = Strings::default();
        assert!(["sh", "-c", script].iter().all(|arg| args.push(&[arg.as_bytes()])));
        let start = Start {
            path: c("/bin/sh"),
            args,
            env: Strings::default(),
            dir: c("/"),
            stdin: None,
            shown: "sh".into(),
            cpu_seconds: 60,
            logs: true,
        };
        children.start(start).expect("it starts")
    }

    /// Its response may be complete, and nothing else waits for it.
    #[test]
    fn a_program_that_writes_to_stderr_without_end_is_not_read_without_end() {
        let mut children = Children::default();
        let (key, _output) = run(&mut children, "while echo 0123456789 >&2; do :; done");
        children.leave(key, ReleaseReason::Done, 0);
        let ended = Epoll::new().expect("an epoll");
        ended.add(children.fd().expect("one was started"), epoll::IN, 0).expect("watched");
        let (mut read, mut lines) = (0, Vec::new());
        while let Some(child) = children.running.get(key).filter(|child| child.stderr.is_some()) {
            read = child.wrote;
            ended.wait(&mut Events::new(), Timeout::Never).expect("an event");
            children.receive();
            lines.extend(children.lines());
        }
        assert!((MOST - READS * LINE..MOST + READS * LINE).contains(&read), "{read}");
        let logged: usize = lines.iter().map(|line| line.text.len() + line.script.len() + LINE_WORDS).sum();
        assert!((LOGGED..LOGGED + 2 * LINE).contains(&logged), "{logged}");
        let said: Vec<&str> = lines.iter().rev().take(3).map(|line| &*line.text).collect();
        assert_eq!(
            said,
            [
                "(more than 1 MiB was written: the rest is not read)",
                "(more messages of this program are left out)",
                "0123456789"
            ]
        );
        end(&mut children, key);
        assert!(children.running.get(key).is_none());
    }

    /// Each turn reads as much of many programs as of one.
    #[test]
    fn many_programs_that_write_to_stderr_do_not_make_a_turn_longer() {
        let mut children = Children::default();
        let script = "yes 0123456789 | head -c 60000 >&2; echo written; exec sleep 100";
        let programs: Vec<_> = (0..4).map(|_| run(&mut children, script)).collect();
        for (key, output) in &programs {
            socket::set_nonblocking(output.as_fd(), false).expect("a pipe");
            assert_eq!(read(output), b"written\n");
            children.watch(*key);
        }
        children.receive();
        assert_eq!(children.running.iter().map(|(_, child)| child.wrote).sum::<usize>(), READS * LINE);
        for (key, _) in programs {
            unwanted(&mut children, key);
            children.finish(key);
        }
    }

    /// Waits for output, or for the end of all processes that may write it.
    fn read(output: &OwnedFd) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(LINE);
        file::read_into(output.as_fd(), &mut buffer, LINE).expect("a pipe");
        buffer
    }

    /// Waits for its termination, not for that of any child: other tests have their own.
    fn end(children: &mut Children, key: Key) {
        child::await_exit(children.running.get(key).expect("a program").pid);
        children.has_ended(key);
    }

    /// Releases it as unwanted, which sends TERM, and waits.
    fn unwanted(children: &mut Children, key: Key) {
        children.leave(key, ReleaseReason::Unwanted, 0);
        end(children, key);
    }

    #[test]
    fn what_a_quick_program_wrote_to_stderr_is_read_at_its_end() {
        let mut children = Children::default();
        let (key, _output) = run(&mut children, "echo one >&2; printf two >&2");
        end(&mut children, key);
        let lines: Vec<String> = children.lines().into_iter().map(|line| line.text).collect();
        assert_eq!((lines, children.fd().is_some()), (vec!["one".into(), "two".into()], false));
    }

    #[test]
    fn programs_that_ended_unwanted_count_until_a_place_is_needed() {
        let mut children = Children::default();
        let (first, first_output) = start(&mut children);
        let (second, second_output) = start(&mut children);
        let (third, _output) = start(&mut children);
        assert!(!children.has_room(3), "all of them run");
        unwanted(&mut children, second);
        unwanted(&mut children, first);
        assert_eq!(children.running.len(), 3, "they are not reaped yet");
        assert!(children.running.get(first).is_some_and(|child| child.stderr.is_none()), "nor hold descriptors");
        assert!(children.has_room(3));
        assert_eq!(read(&second_output), b"", "what the one that ended first had started is ended");
        assert!(children.running.get(first).is_some() && children.running.get(second).is_none());
        assert!(!children.has_room(1), "one runs");
        assert_eq!((children.running.len(), read(&first_output)), (1, Vec::new()));
        unwanted(&mut children, third);
        children.expire(KILL_DELAY - 1);
        assert_eq!((children.running.len(), children.over.len()), (1, 1));
        children.expire(KILL_DELAY);
        assert_eq!((children.running.len(), children.over.len()), (0, 0));
    }
}
