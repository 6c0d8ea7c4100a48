//! What an epoll token stands for: the key of a slab, and which one.

use crate::util::slab::Key;

/// Whose event it is; the middle byte of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Client = 0,
    Listener = 1,
    Signal = 2,
    /// A connection to an upstream.
    Backend = 3,
    /// Files that were being written to the disk are there.
    Disk = 4,
    /// Files that were read have changed.
    Change = 5,
    /// A deadline has come, or might have.
    Alarm = 6,
    /// A name server has answered.
    Resolver = 7,
    /// A program has ended, or written something.
    Child = 8,
    /// Word from the process that started us and keeps root's rights.
    Parent = 9,
    /// A password was checked.
    Password = 10,
    /// What a reload waits for.
    Awaited = 11,
    /// An authority for certificates has answered.
    Acme = 12,
    /// A process whose place this one took, by a reload under a parent.
    Ancestor = 13,
    /// The process that takes this one's place.
    Heir = 14,
}

pub fn token(role: Role, key: Key) -> u64 {
    key.to_u64() | (role as u64) << Key::ROLE_SHIFT
}

/// The token of something there is one of.
pub fn token_of(role: Role) -> u64 {
    token(role, Key::new(0, 0))
}

pub fn role_of(token: u64) -> Option<Role> {
    match token >> Key::ROLE_SHIFT & 0xff {
        0 => Some(Role::Client),
        1 => Some(Role::Listener),
        2 => Some(Role::Signal),
        3 => Some(Role::Backend),
        4 => Some(Role::Disk),
        5 => Some(Role::Change),
        6 => Some(Role::Alarm),
        7 => Some(Role::Resolver),
        8 => Some(Role::Child),
        9 => Some(Role::Parent),
        10 => Some(Role::Password),
        11 => Some(Role::Awaited),
        12 => Some(Role::Acme),
        13 => Some(Role::Ancestor),
        14 => Some(Role::Heir),
        _ => None,
    }
}
