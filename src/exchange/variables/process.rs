//! Variables of the server and its process: names, clocks, counters.

use super::date;
use super::put::{Is, number, put, put_msec};
use crate::config::template::Builtin;
use crate::exchange::Exchange;
use crate::services::Services;
use crate::sys::clock::Zone;
use crate::sys::process;

/// The value of a variable of the process. None: it is of another family.
pub fn value(builtin: Builtin, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>) -> Option<Is> {
    use Builtin as B;
    Some(match builtin {
        B::AcmeCertificate | B::AcmeCertificateKey => {
            let texts = ex.server().acme.and_then(|id| cx.acme.texts(id));
            let text = texts.map(|(chain, key)| if builtin == B::AcmeCertificate { chain } else { key });
            put(text.map(|text| ["data:", text].concat()).as_deref().map(str::as_bytes), out)
        }
        B::Hostname => put(Some(ex.config.process.hostname.as_bytes()), out),
        B::ServerName => put(Some(&ex.server().name), out),
        B::ConnectionsActive => number(cx.stats.gauges().active, out),
        B::ConnectionsReading => number(cx.stats.gauges().reading, out),
        B::ConnectionsWriting => number(cx.stats.gauges().writing, out),
        B::ConnectionsWaiting => number(cx.stats.gauges().waiting, out),
        B::Msec => {
            put_msec(&cx.now, out);
            Is::Set
        }
        B::DateLocal => put(date::value(ex, cx.now.unix, Zone::Local).as_deref(), out),
        B::DateGmt => put(date::value(ex, cx.now.unix, Zone::Gmt).as_deref(), out),
        B::TimeIso8601 => put(Some(cx.now.iso().as_bytes()), out),
        B::TimeLocal => put(Some(cx.now.clf().as_bytes()), out),
        B::Draining => put((cx.draining || cx.quitting).then_some(&b"1"[..]), out),
        B::Pid => number(process::getpid(), out),
        B::NginxVersion => put(Some(crate::NGINX_VERSION.as_bytes()), out),
        _ => return None,
    })
}
