//! SETTINGS (RFC 9113 §6.5): what each side lets the other do.

use super::error::ConnectionFault;
use super::frame::{MAX_MAX_FRAME, MIN_MAX_FRAME};
pub use super::numbers::setting::*;
use super::window;

/// Bytes of one setting.
pub const ENTRY: usize = 6;

/// The client's settings, as far as they concern what a server sends. Header compression is not among it: our encoder
/// has no table that a size could bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerSettings {
    /// Of windows that DATA is sent into.
    pub initial_window: u32,
    /// Of payloads that are sent.
    pub max_frame: u32,
    /// The client knows nothing of RFC 7540's priorities, or will not use them.
    pub no_old_priorities: bool,
}

impl Default for PeerSettings {
    fn default() -> PeerSettings {
        PeerSettings { initial_window: window::DEFAULT, max_frame: MIN_MAX_FRAME, no_old_priorities: false }
    }
}

impl PeerSettings {
    /// Takes the content of a SETTINGS frame over, in its order (§6.5.3). Settings that are not known are ignored.
    /// `windows` judges each initial window, be it not the last one of the frame.
    ///
    /// # Errors
    /// The first that is wrong: a value outside its range (§6.5.2), or what `windows` says.
    pub fn apply(
        &mut self,
        payload: &[u8],
        windows: impl Fn(u32) -> Result<(), ConnectionFault>,
    ) -> Result<(), ConnectionFault> {
        for entry in payload.chunks_exact(ENTRY) {
            let &[a, b, c, d, e, f] = entry else { break };
            let (id, value) = (u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]));
            let in_range = match id {
                ENABLE_PUSH | ENABLE_CONNECT_PROTOCOL | NO_RFC7540_PRIORITIES => value <= 1,
                INITIAL_WINDOW_SIZE => value <= window::MAX,
                MAX_FRAME_SIZE => (MIN_MAX_FRAME..=MAX_MAX_FRAME).contains(&value),
                _ => true,
            };
            if !in_range {
                return Err(ConnectionFault::Setting { id, value });
            }
            match id {
                INITIAL_WINDOW_SIZE => {
                    windows(value)?;
                    self.initial_window = value;
                }
                MAX_FRAME_SIZE => self.max_frame = value,
                NO_RFC7540_PRIORITIES => self.no_old_priorities = value == 1,
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::h2::error::ErrorCode;

    fn applied(entries: &[(u16, u32)]) -> Result<PeerSettings, ConnectionFault> {
        let payload: Vec<u8> =
            entries.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
        let mut settings = PeerSettings::default();
        settings.apply(&payload, |_| Ok(())).map(|()| settings)
    }

    #[test]
    fn each_setting_is_taken_within_its_range_and_the_last_one_counts() {
        let window = |n| applied(&[(INITIAL_WINDOW_SIZE, n)]).map(|s| s.initial_window);
        assert_eq!(window(0), Ok(0));
        assert_eq!(window(0x7fff_ffff), Ok(0x7fff_ffff));
        let frame = |n| applied(&[(MAX_FRAME_SIZE, n)]).map(|s| s.max_frame);
        assert_eq!((frame(16384), frame(16_777_215)), (Ok(16384), Ok(16_777_215)));
        let twice = applied(&[(INITIAL_WINDOW_SIZE, 1), (0xff, 7), (INITIAL_WINDOW_SIZE, 2)]);
        assert_eq!(twice.map(|s| s.initial_window), Ok(2));

        // RFC 9113 §6.5.2: each MUST be a connection error of this type.
        let bad = [
            (ENABLE_PUSH, 2, ErrorCode::PROTOCOL_ERROR),
            (INITIAL_WINDOW_SIZE, 0x8000_0000, ErrorCode::FLOW_CONTROL_ERROR),
            (MAX_FRAME_SIZE, 16383, ErrorCode::PROTOCOL_ERROR),
            (MAX_FRAME_SIZE, 16_777_216, ErrorCode::PROTOCOL_ERROR),
            (ENABLE_CONNECT_PROTOCOL, 2, ErrorCode::PROTOCOL_ERROR),
            (NO_RFC7540_PRIORITIES, 2, ErrorCode::PROTOCOL_ERROR),
        ];
        for (id, value, code) in bad {
            assert_eq!(applied(&[(id, value)]).map_err(|fault| fault.code()), Err(code), "{id} {value}");
        }
    }
}
