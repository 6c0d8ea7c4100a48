//! Files on their way to the disk (upload_sync): the kernel's workers wait for it, the loop does not. Where they cannot
//! be had the loop waits itself.
//!
//! Invariant: every ticket gets an answer, once; whoever began it is told by way of [`Syncs::ended`].

use crate::sys::Errno;
use crate::sys::aio::Aio;
use crate::sys::file;
use std::collections::HashMap;
use std::os::fd::BorrowedFd;

#[derive(Default)]
pub struct Syncs {
    aio: Option<Aio>,
    /// The connection that is being driven, as the loop names it.
    pub client: u64,
    tickets: HashMap<u64, Ticket>,
    next: u64,
}

struct Ticket {
    client: u64,
    outcome: Option<Result<(), Errno>>,
}

impl Syncs {
    /// Has the kernel's workers ready. The descriptor to be watched, where that is new.
    pub fn open(&mut self) -> Option<BorrowedFd<'_>> {
        if self.aio.is_some() {
            return None;
        }
        self.aio = Aio::new().ok();
        self.aio.as_ref().map(Aio::fd)
    }

    /// Begins to write `fd` to the disk, data and metadata.
    pub fn begin(&mut self, fd: BorrowedFd<'_>) -> u64 {
        let ticket = self.next;
        self.next += 1;
        let begun = self.aio.as_ref().is_some_and(|aio| aio.fsync(fd, ticket).is_ok());
        let outcome = if begun { None } else { Some(file::fsync(fd)) };
        self.tickets.insert(ticket, Ticket { client: self.client, outcome });
        ticket
    }

    /// How it ended; None while it has not. A ticket is good for one answer.
    pub fn take(&mut self, ticket: u64) -> Option<Result<(), Errno>> {
        let outcome = self.tickets.get(&ticket)?.outcome?;
        self.tickets.remove(&ticket);
        Some(outcome)
    }

    /// The connections whose files are written by now.
    pub fn ended(&mut self) -> Vec<u64> {
        let Some(aio) = &self.aio else { return Vec::new() };
        let (tickets, mut clients) = (&mut self.tickets, Vec::new());
        let told = aio.ended(|number, outcome| {
            if let Some(ticket) = tickets.get_mut(&number) {
                ticket.outcome = Some(outcome);
                clients.push(ticket.client);
            }
        });
        if let Err(e) = told {
            // Nothing will be told any more: whoever waits hears of it.
            for ticket in tickets.values_mut().filter(|ticket| ticket.outcome.is_none()) {
                ticket.outcome = Some(Err(e));
                clients.push(ticket.client);
            }
        }
        clients
    }
}
