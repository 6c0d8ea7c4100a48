//! Programs that answer requests, on the loop: what they write to STDERR goes to the error log, those that are not wanted
//! any more are ended.

use super::Server;
use crate::config::model::Level;
use crate::conn::token::{Role, token_of};
use crate::sys::epoll;

impl Server {
    pub(super) fn child_event(&mut self) {
        self.cx.children.receive();
        self.tell_of_programs();
    }

    /// What a signal has told of children of this process, if one has.
    pub(super) fn reap_children(&mut self) {
        if self.cx.children.may_be_reaped() {
            self.protected("the end of a child", Server::note_ends);
        }
    }

    fn note_ends(&mut self) {
        for pid in self.cx.children.reap_ended() {
            if self.new_binary == Some(pid) {
                self.new_binary_ended(pid);
            }
        }
        self.tell_of_programs();
    }

    fn tell_of_programs(&mut self) {
        for (reader, exit) in self.cx.children.ended() {
            self.pool.backends.program_ended(reader, exit);
            self.backend_event(reader, epoll::IN | epoll::RDHUP);
        }
        for line in self.cx.children.lines() {
            self.say(Level::Error, format_args!("CGI sent in stderr: \"{}\", script: \"{}\"", line.text, line.script));
        }
    }

    pub(super) fn watch_children(&mut self) {
        if self.watched.children {
            return;
        }
        if let Some(fd) = self.cx.children.fd() {
            // If it is not watched, it will be tried again: until then their STDERR is not read.
            self.watched.children = self.epoll.add(fd, epoll::IN, token_of(Role::Child)).is_ok();
        }
    }
}
