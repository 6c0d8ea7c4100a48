//! Who may do what at this location, asked in this order: the method at all, then limit_except's block, then
//! addresses.

mod allow_deny;
mod methods;

use super::Exchange;
use super::phases::Flow;
use crate::shared::Cx;

pub fn check(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    // An error page is shown to whoever got the error.
    if ex.error_page.is_some() {
        return Flow::Next;
    }
    match methods::check(ex) {
        Flow::Next => {}
        refused => return refused,
    }
    allow_deny::check(ex, cx)
}
