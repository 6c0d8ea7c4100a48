//! The handlers that make a response's body: one feature, one file or folder. No handler knows a socket.

pub mod listing;
