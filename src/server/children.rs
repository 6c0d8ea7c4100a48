//! Programs that answer requests, on the loop: what they write to STDERR goes to the error log, those that are not wanted
//! any more are ended.

use super::Server;
use crate::config::model::Level;
use crate::conn::token::{Role, token_of};
use crate::sys::epoll;

impl Server {
    pub(super) fn child_event(&mut self) {
        self.cx.children.receive();
        for (reader, exit) in self.cx.children.ended() {
            self.pool.backends.program_ended(reader, exit);
            self.backend_event(reader, epoll::IN | epoll::RDHUP);
        }
        for line in self.cx.children.lines() {
            self.say(Level::Error, format_args!("CGI sent in stderr: \"{}\", script: \"{}\"", line.text, line.script));
        }
    }

    /// Children that answer no request may have ended. Asked at the end of a turn, when programs that do answer one have been
    /// reaped by their own events.
    fn reap_others(&mut self) {
        for pid in self.cx.children.reap_others() {
            if self.new_binary == Some(pid) {
                self.new_binary_ended(pid);
            }
        }
    }

    pub(super) fn watch_children(&mut self) {
        if self.cx.children.others_may_be_reaped() {
            self.reap_others();
        }
        if self.watched.children {
            return;
        }
        if let Some(fd) = self.cx.children.fd() {
            // If they were not watched, their end would not be noticed.
            self.watched.children = self.epoll.add(fd, epoll::IN, token_of(Role::Child)).is_ok();
        }
    }
}
