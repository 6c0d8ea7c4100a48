//! Small things every layer uses. No I/O, no policy, nothing that knows HTTP or the configuration.

pub mod span;
