//! Input and output that neither blocks the event loop nor ends the process: printing ([`console`]), opening files that
//! the configuration names ([`open`]), making the directories of a path ([`make_path`]), opening those of a tree
//! ([`tree_dirs`]), replacing small files ([`replace`]), writing log lines ([`sink`]), and child processes for work
//! that would block ([`helper`]). Nothing here knows HTTP or the configuration.

pub mod console;
pub mod helper;
pub mod make_path;
pub mod open;
pub mod replace;
pub mod sink;
pub mod tree_dirs;
