//! `$date_local` and `$date_gmt`, in the format that a page with SSI commands has set.

use crate::exchange::Exchange;
use crate::sys::clock::{self, Zone};
use std::ffi::CString;

/// None: the format gives nothing.
pub fn value(ex: &Exchange, unix: i64, zone: Zone) -> Option<Vec<u8>> {
    const DEFAULT: &[u8] = b"%A, %d-%b-%Y %H:%M:%S %Z";
    let format = ex.nesting.ssi.as_ref().and_then(|state| state.timefmt.as_deref()).unwrap_or(DEFAULT);
    if format == b"%s" {
        return Some(unix.to_string().into_bytes());
    }
    let format = CString::new(format).ok()?;
    Some(clock::strftime(&format, unix, zone)).filter(|text| !text.is_empty())
}
