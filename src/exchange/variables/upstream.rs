//! Variables of requests to upstreams and of their responses.

use super::put::{Is, number, put};
use super::request;
use crate::config::template::Builtin;
use crate::exchange::Exchange;
use crate::exchange::handlers::upstream::record::{AttemptFact, UpstreamRecord};
use crate::http::body_length::BodyLength;
use crate::services::Services;

/// The value of a variable of upstreams. None: it is of another family.
pub fn value(builtin: Builtin, ex: &mut Exchange, _: &mut Services, out: &mut Vec<u8>) -> Option<Is> {
    use Builtin as B;
    Some(match builtin {
        B::ProxyHost => put(ex.log.upstream.as_ref().and_then(|record| record.host.as_deref()), out),
        B::ProxyPort => put(ex.log.upstream.as_ref().and_then(|record| record.port.as_deref()), out),
        B::ProxyInternalBodyLength => match ex.log.upstream.as_ref().and_then(|record| record.announced) {
            Some(BodyLength::Known(length)) => number(length, out),
            _ => Is::Unset,
        },
        B::ProxyInternalChunked => {
            let announced = ex.log.upstream.as_ref().and_then(|record| record.announced);
            put((announced == Some(BodyLength::Unknown)).then_some(&b"chunked"[..]), out)
        }
        B::ProxyAddXForwardedFor => {
            if request::field(ex, b"x_forwarded_for", out) == Is::Set {
                out.extend_from_slice(b", ");
            }
            number(ex.client.peer, out)
        }
        B::UpstreamAddr => record(ex, |record| record.list(AttemptFact::Addr, out)),
        B::UpstreamStatus => record(ex, |record| record.list(AttemptFact::Status, out)),
        B::UpstreamResponseTime => record(ex, |record| record.list(AttemptFact::ResponseTime, out)),
        B::UpstreamConnectTime => record(ex, |record| record.list(AttemptFact::ConnectTime, out)),
        B::UpstreamHeaderTime => record(ex, |record| record.list(AttemptFact::HeaderTime, out)),
        B::UpstreamResponseLength => record(ex, |record| record.list(AttemptFact::Length, out)),
        B::UpstreamBytesSent => record(ex, |record| record.list(AttemptFact::Sent, out)),
        B::UpstreamBytesReceived => record(ex, |record| record.list(AttemptFact::Received, out)),
        B::UpstreamCacheStatus => Is::Unset,
        _ => return None,
    })
}

/// What the record shows, if an upstream was asked.
pub fn record(ex: &Exchange, show: impl FnOnce(&UpstreamRecord) -> bool) -> Is {
    match ex.log.upstream.as_deref().map(show) {
        Some(true) => Is::Set,
        _ => Is::Unset,
    }
}
