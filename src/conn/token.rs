//! The meaning of an epoll token: the key of a slab, and which slab.

use crate::util::slab::Key;

/// What an event is for; a byte of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A client's connection.
    Client = 0,
    /// A listening socket.
    Listener = 1,
    /// The signalfd.
    Signal = 2,
    /// A connection to an upstream.
    Upstream = 3,
    /// An fsync has ended.
    Disk = 4,
    /// Files that were read have changed.
    Change = 5,
    /// The timer of the event loop: the first deadline may have come.
    Timer = 6,
    /// A name server has answered.
    Resolver = 7,
    /// A program has ended, or written something.
    Child = 8,
    /// A message of the parent process, which keeps root's rights.
    Parent = 9,
    /// A password was checked.
    Password = 10,
    /// A program that a reload waits for.
    Awaited = 11,
    /// An authority for certificates has answered.
    Acme = 12,
    /// A process whose place this one took, by a reload under a parent.
    Predecessor = 13,
    /// The process that takes this one's place.
    Successor = 14,
}

/// The token to register a descriptor with; [`role_of`] and the key are got from it when epoll reports an event.
pub fn token(role: Role, key: Key) -> u64 {
    key.to_u64() | (role as u64) << Key::ROLE_SHIFT
}

/// The token of something there is one of.
pub fn token_of(role: Role) -> u64 {
    token(role, Key::new(0, 0))
}

/// None: no role has this number. Only a fault of this program leads there.
pub fn role_of(token: u64) -> Option<Role> {
    match token >> Key::ROLE_SHIFT & 0xff {
        0 => Some(Role::Client),
        1 => Some(Role::Listener),
        2 => Some(Role::Signal),
        3 => Some(Role::Upstream),
        4 => Some(Role::Disk),
        5 => Some(Role::Change),
        6 => Some(Role::Timer),
        7 => Some(Role::Resolver),
        8 => Some(Role::Child),
        9 => Some(Role::Parent),
        10 => Some(Role::Password),
        11 => Some(Role::Awaited),
        12 => Some(Role::Acme),
        13 => Some(Role::Predecessor),
        14 => Some(Role::Successor),
        _ => None,
    }
}
