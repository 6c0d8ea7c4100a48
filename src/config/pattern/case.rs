//! Whether a pattern matches whatever the case.

/// Whether matching ignores case (`~*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// `~`.
    Sensitive,
    /// `~*`.
    Insensitive,
}
