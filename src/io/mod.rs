//! Input and output that neither blocks the loop nor ends the process: what is printed ([`console`]), how a file named
//! by the configuration is opened ([`open`]), where log lines go ([`sink`]). Nothing here knows HTTP or the configuration.

pub mod console;
pub mod open;
pub mod sink;
