//! Messages to the serving process from its privileged parent: reopened log files, a renewed certificate, a channel to
//! its successor, and EOF when the parent exits. The serving process sends only one byte, when it is ready.

pub use super::parent_channel::ParentLink;
use super::{Mode, Server};
use crate::config::model::Level;
use crate::conn::token::{Role, token_of};
use crate::sys::socket::pass::{self, Message};
use crate::sys::{Errno, epoll};
use std::os::fd::{AsFd, OwnedFd};

/// Every message begins with a byte for its type.
pub const LOGS: u8 = b'L';
/// First byte of a message with the channel to the successor.
pub const SUCCESSOR: u8 = b'H';
/// First byte of a message with renewed certificates.
pub const CERTIFICATE: u8 = b'C';

/// Why descriptors of a message were not received, for the error log.
pub(super) const LOST: &str = "this process has no descriptor left (worker_rlimit_nofile)";

/// The ids of log files whose descriptors are attached.
pub fn logs_message(ids: &[u32]) -> Vec<u8> {
    std::iter::once(LOGS).chain(ids.iter().flat_map(|id| id.to_le_bytes())).collect()
}

/// The place of the server in the configuration that a certificate is for; the descriptor holds the certificate.
pub fn certificate_message(server: usize) -> Vec<u8> {
    std::iter::once(CERTIFICATE).chain((server as u32).to_le_bytes()).collect()
}

/// The numbers behind the first byte of a message.
fn numbers(message: &[u8]) -> impl Iterator<Item = usize> {
    let words = message.get(1..).unwrap_or_default().chunks_exact(4);
    words.map(|word| u32::from_le_bytes(word.try_into().unwrap_or_default()) as usize)
}

impl Server {
    /// From now on this process is controlled by a parent.
    ///
    /// # Errors
    /// The error of epoll.
    pub fn attach_parent(&mut self, link: ParentLink) -> Result<(), Errno> {
        self.epoll.add(link.channel.as_fd(), epoll::IN, token_of(Role::Parent))?;
        self.parent = Some(link);
        Ok(())
    }

    /// Reads all messages. If the parent is gone, the process completes its requests and ends.
    pub(super) fn read_parent_messages(&mut self) {
        let mut text = [0; 1 + 4 * pass::MOST];
        let mut is_first = true;
        // What is not received now is reported again in the next turn: the channel is not edge triggered.
        while self.log_work.has_used_all()
            && (std::mem::take(&mut is_first) || !self.cx.slice.is_turn_over())
            && let Some(link) = &self.parent
        {
            match pass::receive(link.channel.as_fd(), &mut text) {
                Err(Errno::EAGAIN) => return,
                Ok(Message { len: len @ 1.., fds, lost }) => {
                    self.take_message(text.get(..len).unwrap_or_default(), fds, lost);
                }
                // Without a parent nothing can stop or reload us, so complete requests in progress and exit.
                Ok(_) | Err(_) => {
                    let _ = self.epoll.delete(link.channel.as_fd());
                    if self.mode == Mode::Serving {
                        self.note(format_args!("the parent process is gone, shutting down"));
                        self.quit();
                    }
                    return;
                }
            }
        }
    }

    /// `lost`: descriptors are missing at its end. What they were for stays as it was.
    fn take_message(&mut self, message: &[u8], fds: Vec<OwnedFd>, lost: bool) {
        let received = fds.len();
        let what = match message.first() {
            Some(&LOGS) => {
                self.take_logs(numbers(message).zip(fds));
                "log files that the parent has opened again were not all received; some go on in the file before"
            }
            Some(&CERTIFICATE) => {
                numbers(message).zip(fds).for_each(|(server, fd)| self.install_certificate(server, fd));
                "a renewed certificate was not received; the one before is used"
            }
            Some(&SUCCESSOR) => {
                fds.into_iter().for_each(|channel| self.hand_over(channel));
                "the channel to the new process was not received; it begins without counters, limits and locks"
            }
            _ => "descriptors of an unknown message were not received",
        };
        if lost {
            self.say(Level::Alert, format_args!("{what}: {LOST}; {received} of them were received"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::test_world::World;
    use std::fs::File;
    use std::os::fd::BorrowedFd;

    /// A log went on in its renamed file, a reload lost its counters, and no line said why.
    #[test]
    fn descriptors_of_the_parent_that_are_lost_are_reported_and_none_is_taken_for_another() {
        let mut world =
            World::with(|path| format!("location /a {{ access_log {path}/a; }} location /b {{ error_log {path}/b; }}"));
        let (parent, ours) = pass::pair().expect("descriptors");
        world.server.attach_parent(ParentLink::new(ours)).expect("epoll");
        let known: Vec<u32> = world.server.cx.logs.descriptors().map(|(at, ..)| at as u32).collect();
        assert!(known.len() > 1);
        // The last one has the number of the error log, and is lost.
        let fresh = File::create(world.dir.path().join("fresh")).expect("created");
        let other = File::create(world.dir.path().join("other")).expect("created");
        let mut fds: Vec<BorrowedFd<'_>> = vec![fresh.as_fd(); 200];
        fds[199] = other.as_fd();
        let mut ids = vec![u32::MAX; 200];
        (ids[0], ids[199]) = (known[1], known[0]);
        pass::send_too_many(parent.as_fd(), &logs_message(&ids), &fds).expect("there is room");
        pass::send_too_many(parent.as_fd(), &[SUCCESSOR], &fds).expect("there is room");
        world.turns();
        world.server.cx.logs.flush_all();
        let errors = String::from_utf8_lossy(&world.dir.read(&world.dir.join("errors"))).into_owned();
        for what in ["log files", "channel to the new process"] {
            let is_told = |line: &&str| line.contains("[alert]") && line.contains(what) && line.contains(LOST);
            assert_eq!(errors.lines().filter(is_told).count(), 1, "{what}: {errors}");
        }
        let target = |at: u32| {
            let found = world.server.cx.logs.descriptors().find(|(number, ..)| *number == at as usize);
            found.map(|(_, _, fd)| crate::sys::file::fstat(fd).expect("open").ino)
        };
        let ino = |file: &File| crate::sys::file::fstat(file.as_fd()).expect("open").ino;
        assert_eq!(target(known[1]), Some(ino(&fresh)));
        assert_ne!(target(known[0]), Some(ino(&other)));
    }
}
