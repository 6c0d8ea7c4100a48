//! The names of resumable uploads.

use crate::sys::Errno;

/// The id of an upload, in its URI and on disk. Knowing it permits continuing the upload, so it cannot be guessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadId(pub(super) [u8; 16]);

impl UploadId {
    /// 128 random bits: knowing the id is what lets an anonymous client resume.
    ///
    /// # Errors
    /// The kernel gave no random bytes.
    pub fn random() -> Result<UploadId, Errno> {
        let mut bytes = [0; 16];
        crate::sys::random::fill(&mut bytes)?;
        Ok(UploadId(bytes))
    }

    /// 32 hex digits in lower case.
    pub fn parse(text: &[u8]) -> Option<UploadId> {
        let (pairs, []) = text.as_chunks::<2>() else { return None };
        let pairs: &[[u8; 2]; 16] = pairs.try_into().ok()?;
        let digit = |b: u8| match b {
            b'0'..=b'9' => Some(b - b'0'),
            b'a'..=b'f' => Some(b - b'a' + 10),
            _ => None,
        };
        let mut id = [0; 16];
        for (byte, [high, low]) in id.iter_mut().zip(pairs) {
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        Some(UploadId(id))
    }

    /// 32 hexadecimal digits, as in its URI and its files' names.
    pub fn text(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
