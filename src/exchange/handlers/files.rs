//! A location that holds files: who answers, by method.

use crate::config::directives::upload::Store;
use crate::exchange::Exchange;
use crate::exchange::handlers::{dav, delete, options, static_file, upload};
use crate::exchange::phases::Flow;
use crate::http::method::{Method, MethodSet};
use crate::shared::Cx;

/// Without allowed_methods: reading, dav_methods, and POST where a store is configured.
pub fn default_methods(ex: &Exchange) -> MethodSet {
    let dav = ex.here().settings.dav.methods;
    let reading = MethodSet(dav.0).with(Method::Get).with(Method::Head);
    match ex.here().settings.upload.store {
        Store::Path(_) => reading.with(Method::Post),
        _ => reading,
    }
}

pub fn run(ex: &mut Exchange, cx: &mut Cx) -> Flow {
    match ex.method {
        Method::Get | Method::Head => static_file::run(ex, cx),
        Method::Options => options::answer(ex),
        method if !options::allowed(ex).contains(method) => options::not_allowed(ex),
        method if ex.here().settings.dav.methods.contains(method) => dav::run(ex, cx),
        Method::Post | Method::Put => upload::start(ex, cx),
        Method::Delete => delete::run(ex, cx),
        _ => options::not_allowed(ex),
    }
}
