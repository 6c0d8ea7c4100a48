//! Input and output that neither blocks the loop nor ends the process: what is printed ([`console`]), how a file named
//! by the configuration is opened ([`open`]), how directories on the way to a file are made ([`make_path`]), where log lines go ([`sink`]), and processes that compute or ask what would take
//! long ([`helper`]). Nothing here knows HTTP or the configuration.

pub mod console;
pub mod helper;
pub mod make_path;
pub mod open;
pub mod replace;
pub mod sink;
