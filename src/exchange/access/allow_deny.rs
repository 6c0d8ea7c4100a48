//! allow and deny: the first rule that matches the client decides; without one the client may. Inside the methods
//! that limit_except restricts, its block's rules hold instead of the location's.

use crate::config::directives::access::{Rule, Who};
use crate::config::model::Level;
use crate::exchange::Exchange;
use crate::exchange::phases::Flow;
use crate::http::status::Status;
use crate::shared::Cx;
use std::net::IpAddr;

pub fn check(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    let config = ex.config.clone();
    if let Some((except, block)) = config.location(ex.location).limit_except
        && !except.contains(ex.method)
    {
        ex.location = block;
    }
    let rules = &config.location(ex.location).settings.access.rules;
    let ip = ex.client.peer.ip().map(|ip| ip.to_canonical());
    match rules.iter().find(|rule| matches(rule, ip)) {
        Some(Rule { allow: false, .. }) => {
            ex.report(cx, Level::Error, format_args!("access forbidden by rule"));
            Flow::Status(Status::FORBIDDEN)
        }
        _ => Flow::Next,
    }
}

fn matches(rule: &Rule, ip: Option<IpAddr>) -> bool {
    match (&rule.who, ip) {
        (Who::All, _) | (Who::Unix, None) => true,
        (Who::Net(net), Some(ip)) => net.contains(ip),
        _ => false,
    }
}
