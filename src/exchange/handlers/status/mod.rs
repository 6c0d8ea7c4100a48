//! The state of the process: nginx's page, health, Angie's tree (`api`), Prometheus's text. Read only; nothing of it
//! is cached, here or elsewhere. What is long, of thousands of upstreams, is made piece by piece while it is sent; the
//! numbers are those of one moment all the same.

mod prometheus;
mod tree;

use super::special::not_read;
use crate::exchange::Exchange;
use crate::exchange::body_encoder::{Source, Steps};
use crate::exchange::flow::Flow;
use crate::exchange::response::{Body, ContentType};
use crate::http::escape::json_escape;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::stats::Counter;
use crate::util::json::{Json, Writer};

/// Bytes of a piece of a long answer, about: well below a millisecond.
const PIECE: usize = 16 << 10;

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
    let all = s.gauges();
    let [accepted, handled, requests] = [Counter::Accepted, Counter::Handled, Counter::Requests].map(|c| s.get(c));
    let page = format!(
        "Active connections: {} \nserver accepts handled requests\n {accepted} {handled} {requests} \nReading: {} Writing: {} Waiting: {} \n",
        all.active, all.reading, all.writing, all.waiting
    );
    ex.response.text(Status::OK, ContentType::Static("text/plain"), page.into_bytes());
    Flow::Respond
}

/// The part of the tree that the rest of the URI names, behind the directive's path.
pub fn api(ex: &mut Exchange, cx: &mut Services, id: u16) -> Flow {
    /// The root of the tree, as in Angie.
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
    let mut head = Vec::new();
    let mut writer = Writer::begin(json, json_escape, &mut head);
    let steps = move |out: &mut Vec<u8>| {
        out.append(&mut head);
        let is_complete = writer.fill(PIECE, out);
        if is_complete {
            out.push(b'\n');
        }
        !is_complete
    };
    answer_in_steps(ex, status, "application/json", Box::new(steps))
}

/// All counters as text for a scrape by Prometheus.
pub fn prometheus(ex: &mut Exchange, cx: &mut Services) -> Flow {
    let mut samples = prometheus::Samples::of(cx);
    let steps = move |out: &mut Vec<u8>| samples.fill(PIECE, out);
    answer_in_steps(ex, Status::OK, prometheus::TYPE, Box::new(steps))
}

/// What the first step does not complete is made while it is sent.
fn answer_in_steps(ex: &mut Exchange, status: Status, content_type: &'static str, mut steps: Steps) -> Flow {
    let mut first = Vec::new();
    if !steps(&mut first) {
        return answer(ex, status, content_type, first);
    }
    let flow = answer(ex, status, content_type, Vec::new());
    let all = move |out: &mut Vec<u8>| match first.is_empty() {
        true => steps(out),
        false => {
            out.append(&mut first);
            true
        }
    };
    if flow == Flow::Respond {
        ex.response.body = Body::Made(Box::new(Source::steps(Box::new(all))));
        ex.response.ranges = false;
    }
    flow
}

fn answer(ex: &mut Exchange, status: Status, content_type: &'static str, body: Vec<u8>) -> Flow {
    if let Some(flow) = not_read(ex) {
        return flow;
    }
    ex.response.line(b"Cache-Control", b"no-store");
    ex.response.text(status, ContentType::Static(content_type), body);
    Flow::Respond
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    /// Each made a turn of 100 ms, with 5000 upstreams.
    #[test]
    fn a_page_of_many_upstreams_is_made_in_steps_and_a_short_one_at_once() {
        for (count, in_steps) in [(1, false), (300, true)] {
            let upstreams: String =
                (0..count).map(|at| format!("upstream u{at} {{ server 127.0.0.1:{}; }} ", 1000 + at)).collect();
            let mut site = Site::new(&upstreams, "location = /api { api /status; } location = /p { prometheus all; }");
            for (line, of_one) in [("GET /api", "\"peers\""), ("GET /p", "upstream_peer_up{")] {
                let mut ex = site.at(line, &[], INSIDE);
                let flow = match line {
                    "GET /api" => api(&mut ex, &mut site.cx, 0),
                    _ => prometheus(&mut ex, &mut site.cx),
                };
                assert_eq!(flow, Flow::Respond);
                let text = match std::mem::take(&mut ex.response.body) {
                    Body::Made(source) if in_steps => source.whole(&mut Vec::new()).expect("made"),
                    Body::Bytes(bytes) if !in_steps => bytes,
                    _ => panic!("{line}, {count}"),
                };
                let text = String::from_utf8(text).expect("text");
                assert_eq!(text.matches(of_one).count(), count, "{line}");
                assert!(text.ends_with('\n') && !text.contains("\n\n"), "{line}");
            }
        }
    }
}
