//! HTTP/2 without I/O (RFC 9113, RFC 7541): bytes in, events and bytes out. No socket, no clock: time is passed in.
//!
//! | module | subject |
//! |---|---|
//! | [`frame`] | frame headers and the frames a server writes |
//! | [`settings`] | SETTINGS, both sides' |
//! | [`hpack`], [`huffman`] | header compression |
//! | [`request`] | what makes a decoded header block a request (§8) |
//! | [`extended`] | extended CONNECT (RFC 8441) |
//! | [`response`] | heads and trailers to header blocks |
//! | [`priority`] | RFC 9218 `priority`, and what is left of RFC 7540's |
//! | [`early_priorities`] | priorities and dependencies of streams that are not open yet |
//! | [`window`] | flow-control windows |
//! | [`budget`] | rates that bound what a client may cost |
//! | [`stream`] | one stream's state, and the table of those open |
//! | [`connection`] | the state machine of a connection |
//! | [`error`] | everything a client can do wrong, as data |

pub mod budget;
pub mod connection;
pub mod early_priorities;
pub mod error;
pub mod extended;
pub mod frame;
pub mod hpack;
pub mod huffman;
pub mod numbers;
pub mod priority;
pub mod request;
pub mod response;
pub mod settings;
pub mod stream;
pub mod window;
