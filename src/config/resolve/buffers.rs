//! Sizes of buffers for upstreams that contradict each other.

use crate::config::ast::Span;
use crate::config::settings::proxy::ProxySettings;

/// An error about inconsistent buffer sizes.
pub struct WrongBuffers {
    /// The last directive that set one of the sizes; None: all are defaults.
    pub at: Option<Span>,
    /// The error, in nginx's words.
    pub text: String,
    /// How to fix it.
    pub help: String,
}

/// nginx rejects inconsistent buffer sizes even if nothing is proxied. So do we: a configuration that loads here
/// must load there.
pub fn wrong_buffers(settings: &ProxySettings, module: &str) -> Option<WrongBuffers> {
    let (count, each) = (settings.buffers.0, settings.buffers.1.0);
    let largest = each.max(settings.buffer_size.0);
    let busy = settings.busy_size.map_or(2 * largest, |size| size.0);
    let largest_of =
        || format!("the maximum of the value of \"{module}_buffer_size\" and one of the \"{module}_buffers\"");
    let (text, cure) = if count < 2 {
        (format!("there must be at least 2 \"{module}_buffers\""), format!("{module}_buffers 8 {}", kibibytes(each)))
    } else if busy < largest {
        let text = format!("\"{module}_busy_buffers_size\" must be equal to or greater than {}", largest_of());
        (text, format!("{module}_busy_buffers_size {}", kibibytes(largest)))
    } else if busy > (count - 1) * each {
        let rule = "must be less than the size of all";
        let text = format!("\"{module}_busy_buffers_size\" {rule} \"{module}_buffers\" minus one buffer");
        let fits = settings.busy_size.is_some() && largest <= (count - 1) * each;
        let cure = match fits {
            true => format!("{module}_busy_buffers_size {}", kibibytes((count - 1) * each)),
            false => format!("{module}_buffers {} {}", count.max(busy.div_ceil(largest) + 1), kibibytes(largest)),
        };
        (text, cure)
    } else if settings.temp_write_size.is_some_and(|size| size.0 < largest) {
        let text = format!("\"{module}_temp_file_write_size\" must be equal to or greater than {}", largest_of());
        (text, format!("{module}_temp_file_write_size {}", kibibytes(largest)))
    } else if settings.temp_most.is_some_and(|size| size.0 != 0 && size.0 < largest) {
        let rule = "must be equal to zero to disable temporary files usage or must be equal to or greater than";
        let text = format!("\"{module}_max_temp_file_size\" {rule} {}", largest_of());
        (text, format!("{module}_max_temp_file_size {}", kibibytes(largest)))
    } else {
        return None;
    };
    Some(WrongBuffers { at: settings.sized_at, text, help: format!("as in: {cure};") })
}

fn kibibytes(size: u64) -> String {
    if size.is_multiple_of(1024) { format!("{}k", size / 1024) } else { size.to_string() }
}
