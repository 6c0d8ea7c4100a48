//! Parses arguments of directives, with nginx's error messages.

use super::ast::Directive;
use super::fault::Fault;
use super::value::{self, Millis, Size};

/// nginx's error for a value that a directive does not accept.
pub fn invalid(d: &Directive, at: usize) -> Fault {
    let word = d.args.get(at).unwrap_or(&d.name);
    Fault::new(word.span, format!("invalid value \"{}\" in \"{}\" directive", word.str(), d.name.str()))
}

/// The argument as a size in bytes.
pub fn size(d: &Directive, at: usize) -> Result<Size, Fault> {
    Size::parse(d.args[at].bytes()).map_err(|e| wrong(d, at, e))
}

/// The argument as a file size in bytes, which may be in gigabytes.
pub fn offset(d: &Directive, at: usize) -> Result<Size, Fault> {
    Size::parse_offset(d.args[at].bytes()).map_err(|e| wrong(d, at, e))
}

/// The argument as a time.
pub fn time(d: &Directive, at: usize) -> Result<Millis, Fault> {
    Millis::parse(d.args[at].bytes()).map_err(|e| wrong(d, at, e))
}

/// The argument as a whole number.
pub fn number(d: &Directive, at: usize) -> Result<u64, Fault> {
    value::number(d.args[at].bytes(), u64::MAX).map_err(|e| wrong(d, at, e))
}

/// The argument as `on` or `off`.
pub fn flag(d: &Directive, at: usize) -> Result<bool, Fault> {
    let span = d.args[at].span;
    value::flag(d.args[at].bytes(), &d.name.str()).map_err(|e| Fault::of_value(span, e))
}

/// Converts a value error to the fault of an argument, worded as in nginx.
pub fn wrong(d: &Directive, at: usize, error: value::ValueError) -> Fault {
    let error = error.in_directive(&d.name.str());
    Fault::of_value(d.args[at].span, error)
}
