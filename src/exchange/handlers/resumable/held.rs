//! What a quota counts of uploads that are not finished. Knows no request, so that every handler that asks a quota may
//! ask here.

use super::location;
use crate::services::Services;
use crate::services::quotas::Usage;
use crate::services::resumable::{KnownUpload, UploadId};
use crate::sys::Errno;

/// What unfinished uploads below a path hold, as far as they are known and not stored yet; except `but`.
pub fn held(cx: &mut Services, area: &[u8], but: &[UploadId]) -> Usage {
    look_again(cx, area);
    cx.resumable.held(area, but, cx.now.ms)
}

/// Looks again at uploads below a path that no request here writes to, as far as that is due: what another process
/// ended must not be held here until it expires.
fn look_again(cx: &mut Services, area: &[u8]) {
    for id in cx.resumable.idle(area, cx.now.ms) {
        let Some((home, expires)) = cx.resumable.get(id).map(|open| (open.home.clone(), open.expires)) else {
            continue;
        };
        let dir = match location::open(&home) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) => {
                cx.resumable.remove(id);
                continue;
            }
            Err(_) => continue,
        };
        match dir.stat(id) {
            Ok(Some(stat)) => _ = cx.resumable.update(id, stat.size, expires),
            Ok(None) => match dir.load(id) {
                Ok(None) => cx.resumable.remove(id),
                Ok(Some(record)) if dir.is_stored(id, &record) => {
                    cx.resumable.insert(id, KnownUpload::stored(home, &record.path, expires));
                }
                // It is about to get its name, or cannot be read now.
                _ => {}
            },
            Err(_) => {}
        }
    }
}
