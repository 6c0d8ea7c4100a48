//! How long the value of a variable holds that the configuration computes.

/// Whether a value holds for the rest of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It is evaluated once (nginx's default for `map`).
    Yes,
    /// It is evaluated at each use (`volatile`, or made of what changes).
    No,
}
