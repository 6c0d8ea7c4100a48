//! upload_limit_rate: the pace of a request's body.

use crate::config::value::Size;
use crate::exchange::pace::Pace;
use crate::exchange::{Exchange, variables};
use crate::services::Services;

/// The pace of this request's body, where the location has one.
pub fn of(ex: &mut Exchange, cx: &mut Services) -> Option<Pace> {
    let rules = ex.location().settings.upload.clone();
    let text = variables::text(rules.limit_rate.as_ref()?, ex, cx);
    // A variable may be empty or invalid: then there is no limit (as with nginx's limit_rate).
    let rate = Size::parse(&text).ok().filter(|rate| rate.0 > 0)?;
    Some(Pace::new(rate.0, cx.now.ms))
}
