//! Numbers of the protocol: codes of errors and identifiers of settings.

/// An error code of RFC 9113 §7.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    pub const NO_ERROR: ErrorCode = ErrorCode(0x0);
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(0x1);
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(0x2);
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(0x3);
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(0x4);
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(0x5);
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(0x6);
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(0x7);
    pub const CANCEL: ErrorCode = ErrorCode(0x8);
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(0x9);
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(0xa);
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(0xb);
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(0xc);
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(0xd);
}

/// Settings (RFC 9113 §6.5.2).
pub mod setting {
    /// Bytes of the sender's dynamic table for decoding (RFC 7541 §4.2); 4096 initially.
    pub const HEADER_TABLE_SIZE: u16 = 0x1;
    /// 0 or 1; a server may send 0 only.
    pub const ENABLE_PUSH: u16 = 0x2;
    /// Streams that the receiver may have open; unlimited initially.
    pub const MAX_CONCURRENT_STREAMS: u16 = 0x3;
    /// Bytes a new stream may be sent; 65 535 initially, at most 2^31-1.
    pub const INITIAL_WINDOW_SIZE: u16 = 0x4;
    /// Bytes of a frame's payload; 16 384 initially, at most 2^24-1.
    pub const MAX_FRAME_SIZE: u16 = 0x5;
    /// Bytes of a header list before compression, 32 added for each field. Advisory.
    pub const MAX_HEADER_LIST_SIZE: u16 = 0x6;
    /// RFC 8441 §3.
    pub const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;
    /// RFC 9218 §2.1.
    pub const NO_RFC7540_PRIORITIES: u16 = 0x9;
}
