//! The state of the process: nginx's page, health, Angie's tree (`api`), Prometheus's text. Read only; nothing of it
//! is cached, here or elsewhere.

mod prometheus;
mod tree;

use super::special::not_read;
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::response::ContentType;
use crate::http::escape::json_escape;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::stats::Counter;
use crate::util::json::Json;

/// Whether new requests are welcome, for load balancers.
pub fn health(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let (status, text) = match cx.draining || cx.quitting {
        true => (Status::SERVICE_UNAVAILABLE, &b"draining\n"[..]),
        false => (Status::OK, &b"ok\n"[..]),
    };
    answer(ex, status, "text/plain", text.to_vec())
}

/// nginx's page, for programs that read that.
pub fn stub_status(ex: &mut Exchange, cx: &mut Services) -> Flow {
    if let Some(flow) = not_read(ex) {
        return flow;
    }
    let s = &cx.stats;
    let [accepted, handled, requests] = [Counter::Accepted, Counter::Handled, Counter::Requests].map(|c| s.get(c));
    let page = format!(
        "Active connections: {} \nserver accepts handled requests\n {accepted} {handled} {requests} \nReading: {} Writing: {} Waiting: {} \n",
        s.active, s.reading, s.writing, s.waiting
    );
    ex.response.text(Status::OK, ContentType::Static("text/plain"), page.into_bytes());
    Flow::Respond
}

/// The part of the tree that the rest of the URI names, behind the directive's path.
pub fn api(ex: &mut Exchange, cx: &mut Services, id: u16) -> Flow {
    /// The root of the tree, as Angie has it.
    const ROOT: &str = "/status";
    let configured = ex.config.process.status_paths.get(usize::from(id)).cloned().unwrap_or_default();
    let location = ex.location();
    let rest = ex.route.uri.get(location.name.len()..).unwrap_or_default();
    let path = [&configured[..], rest].concat();
    let path = String::from_utf8_lossy(&path).into_owned();
    let below = path.strip_prefix(ROOT).filter(|below| below.is_empty() || below.starts_with('/'));
    let (status, json) = match below.and_then(|below| tree::find(cx, below)) {
        Some(json) => (Status::OK, json),
        None => {
            let why = format!("Requested API entity \"{path}\" doesn't exist.");
            let json = [("error", Json::text("PathNotFound")), ("description", Json::Text(why))];
            (Status::NOT_FOUND, Json::object(json))
        }
    };
    let mut out = Vec::new();
    json.write(0, json_escape, &mut out);
    out.push(b'\n');
    answer(ex, status, "application/json", out)
}

/// All counters as text for a scrape by Prometheus.
pub fn prometheus(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let text = prometheus::text(cx);
    answer(ex, Status::OK, prometheus::TYPE, text.into_bytes())
}

fn answer(ex: &mut Exchange, status: Status, content_type: &'static str, body: Vec<u8>) -> Flow {
    if let Some(flow) = not_read(ex) {
        return flow;
    }
    ex.response.line(b"Cache-Control", b"no-store");
    ex.response.text(status, ContentType::Static(content_type), body);
    Flow::Respond
}
