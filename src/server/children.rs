//! CGI programs on the event loop: logs their STDERR, and ends those no longer needed.

use super::Server;
use crate::config::model::Level;
use crate::conn::token::{Role, token_of};
use crate::sys::epoll;

impl Server {
    /// A program has written to STDERR or ended.
    pub(super) fn child_event(&mut self) {
        self.cx.children.receive();
        self.tell_of_programs();
    }

    /// Handles a SIGCHLD, if one has arrived.
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
            self.pool.upstream_conns.program_ended(reader, exit);
            self.upstream_event(reader, epoll::IN | epoll::RDHUP);
        }
        for line in self.cx.children.lines() {
            self.say(Level::Error, format_args!("CGI sent in stderr: \"{}\", script: \"{}\"", line.text, line.script));
        }
    }

    /// Registers the programs' epoll with that of the loop, once it exists.
    pub(super) fn watch_children(&mut self) {
        if self.watched.children {
            return;
        }
        if let Some(fd) = self.cx.children.fd() {
            // If it cannot be watched, that is retried; until then STDERR is not read.
            self.watched.children = self.epoll.add(fd, epoll::IN, token_of(Role::Child)).is_ok();
        }
    }
}
