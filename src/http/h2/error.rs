//! Everything a client can do wrong on an HTTP/2 connection, as data: which error code answers it, and a sentence for
//! the log. A [`ConnectionFault`] ends the connection with GOAWAY, a [`StreamFault`] one stream with RST_STREAM
//! (RFC 9113 §5.4).

pub use super::numbers::ErrorCode;

use super::numbers::setting;
use std::fmt;

/// Why a connection is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConnectionFault {
    /// §3.4: the connection does not begin with the preface.
    Preface,
    /// §3.4: the first frame is neither SETTINGS nor a request or its window, which are taken in their place.
    NoSettings { kind: u8 },
    /// §4.2: a frame longer than SETTINGS_MAX_FRAME_SIZE allows.
    FrameTooLong { kind: u8, len: u32 },
    /// §6: a frame whose type has a fixed length, or a least one, with another.
    FrameLength { kind: u8, len: u32 },
    /// §6.1, §6.2: padding as long as the frame, or longer.
    Padding { kind: u8 },
    /// §6: a frame of a stream on stream 0, a frame of the connection on a stream, or a stream a client cannot open.
    StreamId { kind: u8, stream: u32 },
    /// §5.1.1: the identifier of a new stream is not above all before it.
    StreamOrder { stream: u32, last: u32 },
    /// §5.1: a frame other than HEADERS and PRIORITY on a stream that was never opened.
    Idle { kind: u8, stream: u32 },
    /// §6.2, §6.10: something else than CONTINUATION of the same stream within a header block.
    Interleaved { kind: u8, stream: u32 },
    /// §6.10: CONTINUATION without HEADERS before it.
    StrayContinuation { stream: u32 },
    /// RFC 7540 §5.3.1: a stream that depends on itself (nginx: of the connection).
    SelfDependency { stream: u32 },
    /// §8.4: a client cannot push.
    PushPromise,
    /// §6.5: SETTINGS with the ACK flag and content.
    SettingsAckLength { len: u32 },
    /// §6.5.2: a setting outside its range.
    Setting { id: u16, value: u32 },
    /// §6.9: an increment of 0 for the connection.
    ZeroIncrement,
    /// §6.9.1: a window beyond 2^31-1.
    WindowOverflow,
    /// §6.9.2: a new initial window size takes a stream's window beyond 2^31-1.
    InitialWindowOverflow { stream: u32 },
    /// §6.9.1: more DATA than the connection's window allowed.
    ConnectionWindow { len: u32 },
    /// §4.3, RFC 7541: a header block that cannot be decoded.
    Compression(HpackError),
    /// A header block in more than `limit` frames (CVE-2024-27316 and its family).
    TooManyContinuations { limit: u32 },
    /// A header block of more than `limit` bytes before expansion.
    HeaderBlockTooLong { limit: u32 },
    /// Streams reset faster than work can be thrown away, by the client or by what it provoked (CVE-2023-44487,
    /// CVE-2025-8671).
    TooManyResets,
    /// Streams opened beyond SETTINGS_MAX_CONCURRENT_STREAMS, again and again.
    TooManyRefused,
    /// SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty or unknown frames out of proportion to what is transferred
    /// (CVE-2019-9512, -9515, -9518).
    Flood,
}

impl ConnectionFault {
    /// The code that GOAWAY carries.
    pub fn code(&self) -> ErrorCode {
        match self {
            ConnectionFault::Preface
            | ConnectionFault::NoSettings { .. }
            | ConnectionFault::Padding { .. }
            | ConnectionFault::StreamId { .. }
            | ConnectionFault::StreamOrder { .. }
            | ConnectionFault::Idle { .. }
            | ConnectionFault::Interleaved { .. }
            | ConnectionFault::StrayContinuation { .. }
            | ConnectionFault::SelfDependency { .. }
            | ConnectionFault::PushPromise
            | ConnectionFault::ZeroIncrement => ErrorCode::PROTOCOL_ERROR,
            ConnectionFault::Setting { id: setting::INITIAL_WINDOW_SIZE, .. } => ErrorCode::FLOW_CONTROL_ERROR,
            ConnectionFault::Setting { .. } => ErrorCode::PROTOCOL_ERROR,
            ConnectionFault::FrameTooLong { .. }
            | ConnectionFault::FrameLength { .. }
            | ConnectionFault::SettingsAckLength { .. } => ErrorCode::FRAME_SIZE_ERROR,
            ConnectionFault::WindowOverflow
            | ConnectionFault::InitialWindowOverflow { .. }
            | ConnectionFault::ConnectionWindow { .. } => ErrorCode::FLOW_CONTROL_ERROR,
            ConnectionFault::Compression(HpackError::Copies { .. }) => ErrorCode::ENHANCE_YOUR_CALM,
            ConnectionFault::Compression(_) => ErrorCode::COMPRESSION_ERROR,
            ConnectionFault::TooManyContinuations { .. }
            | ConnectionFault::HeaderBlockTooLong { .. }
            | ConnectionFault::TooManyResets
            | ConnectionFault::TooManyRefused
            | ConnectionFault::Flood => ErrorCode::ENHANCE_YOUR_CALM,
        }
    }
}

impl fmt::Display for ConnectionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use super::frame::kind::Name;
        match *self {
            Self::Preface => f.write_str("invalid connection preface"),
            Self::NoSettings { kind } => write!(f, "client sent {} frame before SETTINGS", Name(kind)),
            Self::FrameTooLong { kind, len } => write!(f, "client sent too large {} frame: {len} bytes", Name(kind)),
            Self::FrameLength { kind, len } => {
                write!(f, "client sent {} frame with incorrect length {len}", Name(kind))
            }
            Self::Padding { kind } => write!(f, "client sent padded {} frame with incorrect length", Name(kind)),
            Self::StreamId { kind, stream } => {
                write!(f, "client sent {} frame with incorrect identifier {stream}", Name(kind))
            }
            Self::StreamOrder { stream, last } => {
                write!(f, "client sent HEADERS frame with incorrect identifier {stream}, the last was {last}")
            }
            Self::Idle { kind, stream } => write!(f, "client sent {} frame for idle stream {stream}", Name(kind)),
            Self::Interleaved { kind, stream } => write!(
                f,
                "client sent {} frame while CONTINUATION was expected for another header block, stream {stream}",
                Name(kind)
            ),
            Self::StrayContinuation { stream } => {
                write!(f, "client sent unexpected CONTINUATION frame for stream {stream}")
            }
            Self::SelfDependency { stream } => write!(f, "client sent stream {stream} with incorrect dependency"),
            Self::PushPromise => f.write_str("client sent PUSH_PROMISE frame"),
            Self::SettingsAckLength { len } => {
                write!(f, "client sent SETTINGS frame with the ACK flag and length {len}")
            }
            Self::Setting { id, value } => {
                write!(f, "client sent SETTINGS frame with incorrect value {value} of setting {id}")
            }
            Self::ZeroIncrement => f.write_str("client sent WINDOW_UPDATE frame with incorrect window increment 0"),
            Self::WindowOverflow => {
                f.write_str("client violated connection flow control: window larger than 2147483647")
            }
            Self::InitialWindowOverflow { stream } => {
                write!(f, "client violated flow control for stream {stream}: window larger than 2147483647")
            }
            Self::ConnectionWindow { len } => {
                write!(f, "client violated connection flow control: DATA frame of {len} bytes exceeds the window")
            }
            Self::Compression(error) => write!(f, "client sent invalid header block: {error}"),
            Self::TooManyContinuations { limit } => write!(f, "client sent header block in more than {limit} frames"),
            Self::HeaderBlockTooLong { limit } => {
                write!(f, "client sent too large header block: more than {limit} bytes")
            }
            Self::TooManyResets => f.write_str("http2 flood detected: too many streams were reset"),
            Self::TooManyRefused => f.write_str("client sent too many refused streams"),
            Self::Flood => f.write_str("http2 flood detected: too many frames that transfer nothing"),
        }
    }
}

/// Why one stream is given up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StreamFault {
    /// §5.1: DATA after the client ended the stream, or after it was closed.
    DataAfterEnd,
    /// §5.1: HEADERS after the client ended the stream.
    HeadersAfterEnd,
    /// §5.1.2: more streams at once than SETTINGS_MAX_CONCURRENT_STREAMS.
    Refused,
    /// §6.5.3: a stream with a body before our smaller initial window was acknowledged: the client may take it for
    /// larger.
    Unacknowledged,
    /// §6.9.1: more DATA than the stream's window allowed.
    Window { len: u32 },
    /// §6.9: an increment of 0.
    ZeroIncrement,
    /// §6.9.1: a window beyond 2^31-1.
    WindowOverflow,
    /// §6.3: PRIORITY of another length than 5.
    PriorityLength { len: u32 },
    /// §8.1: a second header block that does not end the stream, or holds a pseudo-header field.
    Trailers,
}

impl StreamFault {
    /// The code that RST_STREAM carries.
    pub fn code(&self) -> ErrorCode {
        match self {
            StreamFault::DataAfterEnd | StreamFault::HeadersAfterEnd => ErrorCode::STREAM_CLOSED,
            StreamFault::Refused | StreamFault::Unacknowledged => ErrorCode::REFUSED_STREAM,
            StreamFault::Window { .. } | StreamFault::WindowOverflow => ErrorCode::FLOW_CONTROL_ERROR,
            StreamFault::PriorityLength { .. } => ErrorCode::FRAME_SIZE_ERROR,
            StreamFault::ZeroIncrement | StreamFault::Trailers => ErrorCode::PROTOCOL_ERROR,
        }
    }
}

impl fmt::Display for StreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            StreamFault::DataAfterEnd => f.write_str("client sent DATA frame for half-closed stream"),
            StreamFault::HeadersAfterEnd => f.write_str("client sent HEADERS frame for half-closed stream"),
            StreamFault::Refused => f.write_str("concurrent streams exceeded"),
            StreamFault::Unacknowledged => {
                f.write_str("client sent stream with data before settings were acknowledged")
            }
            StreamFault::Window { len } => {
                write!(f, "client violated flow control: DATA frame of {len} bytes exceeds the stream's window")
            }
            StreamFault::ZeroIncrement => {
                f.write_str("client sent WINDOW_UPDATE frame with incorrect window increment 0")
            }
            StreamFault::WindowOverflow => f.write_str("client violated flow control: window larger than 2147483647"),
            StreamFault::PriorityLength { len } => {
                write!(f, "client sent PRIORITY frame with incorrect length {len}")
            }
            StreamFault::Trailers => f.write_str("client sent invalid trailer section"),
        }
    }
}

/// Why a header block is not decoded; RFC 7541 makes each of these but the last a decoding error.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HpackError {
    /// §5.1: an integer beyond what any length or index can be.
    Integer,
    /// §6.1, §2.3.3: index 0, or one beyond both tables.
    Index(u32),
    /// §5.2: a string that ends after the block.
    Truncated,
    /// §5.2: EOS, or wrong padding.
    Huffman,
    /// §4.2, §6.3: a table size above SETTINGS_HEADER_TABLE_SIZE.
    TableSize(u32),
    /// §4.2: a change of the table size after the first field of a block.
    LateTableSize,
    /// It repeats names of the table until they are out of proportion to what it may say.
    Copies { limit: u32 },
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            HpackError::Integer => f.write_str("an integer is too large"),
            HpackError::Index(index) => write!(f, "no table entry has index {index}"),
            HpackError::Truncated => f.write_str("it ends within a field"),
            HpackError::Huffman => f.write_str("invalid Huffman code"),
            HpackError::TableSize(size) => write!(f, "a table size of {size} bytes exceeds the setting"),
            HpackError::LateTableSize => f.write_str("the table size changes after the first field"),
            HpackError::Copies { limit } => write!(f, "its literals copy more than {limit} bytes"),
        }
    }
}
