//! allow and deny: the first rule that matches the client's address decides; if none matches, the client is allowed.
//! For the methods that limit_except restricts, the rules of its block apply instead of the location's.

use crate::config::model::Level;
use crate::config::settings::auth::Satisfy;
use crate::exchange::Exchange;
use crate::route::Trace;
use crate::services::Services;

/// For the methods that limit_except restricts, its block replaces the location, before any script runs.
pub fn enter_limit_except(ex: &mut Exchange, cx: &mut Services) {
    if let Some((except, block)) = ex.location().limit_except {
        let restricted = !except.contains(ex.route.method);
        cx.trace.say("access", Some(ex.config.location(block).span), || {
            if restricted { "the method is restricted: the block's rules apply" } else { "the method is excepted" }
                .into()
        });
        if restricted {
            ex.route.location = block;
        }
    }
}

/// Whether the rules allow the client; None if no rule matches its address.
pub fn check(ex: &mut Exchange, cx: &mut Services) -> Option<bool> {
    let config = ex.config.clone();
    let rules = &config.location(ex.route.location).settings.access.rules;
    if rules.is_empty() {
        return None;
    }
    let ip = ex.client.peer.ip().map(|ip| ip.to_canonical());
    let rule = rules.first(ip);
    let allow = rule.map(|rule| rule.allow);
    cx.trace.say("access", rule.map(|rule| rule.span), || match allow {
        Some(true) => format!("{} is allowed", ex.client.peer),
        Some(false) => format!("{} is denied", ex.client.peer),
        None => format!("no allow or deny matches {}", ex.client.peer),
    });
    // With `satisfy any` a password may still be enough (nginx).
    if allow == Some(false) && ex.location().settings.auth.satisfy == Satisfy::All {
        ex.report(cx, Level::Error, format_args!("access forbidden by rule"));
    }
    allow
}
