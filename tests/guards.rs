//! Guards: what the project promises of itself, checked on its own text and on the running server. Layers, import
//! circles, `unsafe`, panics; no allocation and four system calls for a cached file; the size of an idle connection,
//! memory of many uploads.

#[path = "guards/allocations.rs"]
mod allocations;
#[path = "guards/circles.rs"]
mod circles;
#[path = "guards/functions.rs"]
mod functions;
#[path = "guards/links.rs"]
mod links;
#[path = "guards/process.rs"]
mod process;
#[path = "guards/sources.rs"]
mod sources;
#[path = "guards/uploads.rs"]
mod uploads;

#[test]
fn a_connection_is_small() {
    let size = size_of::<webserv::conn::Conn>();
    assert!(size <= 88, "{size} bytes");
}
