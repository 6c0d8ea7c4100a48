//! What a client of HTTP/2 makes of what comes: frames in their order, within its windows, each answer the right one.

use crate::streams::{H2Client, Stream};
use webserv::http::h2::frame::{self, FrameHeader, HEADER_LEN, flag, kind};
use webserv::http::h2::hpack::{Block, Bounds};

impl H2Client {
    pub fn judge(&mut self) {
        let input = std::mem::take(&mut self.input);
        let mut rest = &input[..];
        while let Some(header) = FrameHeader::parse(rest)
            && let Some(payload) = rest.get(HEADER_LEN..HEADER_LEN + header.len as usize)
        {
            assert!(header.len <= 16_384, "{}: a frame of {} bytes", self.name, header.len);
            self.frame(header, payload);
            rest = &rest[HEADER_LEN + payload.len()..];
        }
        self.input = rest.to_vec();
    }

    fn frame(&mut self, header: FrameHeader, payload: &[u8]) {
        let number = |at: usize| payload[at..].first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes));
        let id = header.stream;
        match header.kind {
            kind::SETTINGS if header.has(flag::ACK) => self.acknowledged(),
            kind::SETTINGS => {
                for entry in payload.chunks_exact(6) {
                    let value = i64::from(u32::from_be_bytes([entry[2], entry[3], entry[4], entry[5]]));
                    match entry[1] {
                        3 => self.limit = value as usize,
                        4 => self.theirs = value,
                        _ => {}
                    }
                }
                assert!(!std::mem::replace(&mut self.has_settings, true), "{}: settings twice", self.name);
                frame::settings_ack(&mut self.out);
            }
            kind::PING => {
                assert!(header.has(flag::ACK), "{}: a PING", self.name);
                let sent = self.pings.pop_front();
                assert!(self.wild || sent.as_ref().is_some_and(|sent| sent == payload), "{}: another PING", self.name);
            }
            kind::WINDOW_UPDATE => {
                let by = i64::from(number(0));
                assert!(by > 0, "{}: an update of 0", self.name);
                match self.streams.get_mut(&id) {
                    Some(stream) => stream.upload.window += by,
                    None if id == 0 => self.window += by,
                    None => {}
                }
            }
            kind::GOAWAY => {
                assert!(self.is_lenient() || number(4) == 0, "GOAWAY {}: {}", number(4), self.shown());
                self.goaway = Some(number(0));
            }
            kind::RST_STREAM => self.reset(id, number(0)),
            kind::HEADERS => self.headers(id, header, payload),
            kind::DATA => self.data(id, header, payload),
            other => panic!("{}: a frame of type {other}", self.name),
        }
    }

    fn acknowledged(&mut self) {
        let Some(size) = self.asked.pop_front() else { panic!("{}: nothing to be acknowledged", self.name) };
        let by = size - self.ours;
        self.ours = size;
        self.streams.values_mut().for_each(|stream| stream.owed.granted += by);
    }

    fn reset(&mut self, id: u32, code: u32) {
        let Some(stream) = self.streams.get(&id) else { return };
        // No more of a body is wanted behind its answer; a malformed request is reset for that behind its 400; and one
        // may be refused whose place a reset one still has.
        let is_right = match code {
            0 => stream.owed.ended,
            1 => stream.owed.ended && stream.owed.status == Some(400),
            7 => self.resets > 0 && stream.owed.status.is_none(),
            _ => false,
        };
        assert!(is_right || self.is_lenient(), "stream {id} was reset, {code}: {}", self.shown());
        match self.streams.get_mut(&id) {
            Some(stream) if stream.owed.ended => stream.upload.ended = true,
            _ => self.forget(id),
        }
    }

    fn headers(&mut self, id: u32, header: FrameHeader, payload: &[u8]) {
        let mut block = Block::default();
        let bounds = Bounds { total: 1 << 16, fields: 100 };
        self.decoder.decode(payload, &bounds, &mut block).expect("a header block");
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let status = block.fields.first().map(|field| field.value.of(&block.text).to_vec()).unwrap_or_default();
        let status: u16 = String::from_utf8(status).ok().and_then(|text| text.parse().ok()).expect("a status");
        let owed = &mut stream.owed;
        assert!(owed.status.is_none() && !owed.ended, "{}: two heads", owed.name);
        let is_right = owed.statuses.contains(&status) || self.wild || self.late && status == 408;
        assert!(is_right, "{status} instead of {:?}: {}", owed.statuses, owed.name);
        owed.status = Some(status);
        if header.has(flag::END_STREAM) {
            self.ended(id);
        }
    }

    fn data(&mut self, id: u32, header: FrameHeader, payload: &[u8]) {
        let len = payload.len() as i64;
        self.granted -= len;
        assert!(self.wild || len == 0 || self.granted >= 0, "beyond the connection's window: {}", self.shown());
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let owed = &mut stream.owed;
        owed.granted -= len;
        assert!(self.wild || len == 0 || owed.granted >= 0, "beyond the window: {} by {}", owed.name, -owed.granted);
        assert!(owed.status.is_some() && !owed.ended, "DATA before or behind: {}", owed.name);
        if let Some(body) = &owed.body {
            let wanted = body.get(owed.got..owed.got + payload.len());
            assert!(self.wild || wanted == Some(payload), "other bytes at {}: {}", owed.got, owed.name);
        }
        owed.got += payload.len();
        if header.has(flag::END_STREAM) {
            self.ended(id);
        }
    }

    fn ended(&mut self, id: u32) {
        let is_lenient = self.is_lenient();
        let Some(Stream { owed, upload }) = self.streams.get_mut(&id) else { return };
        owed.ended = true;
        self.answers += 1;
        let whole = owed.body.as_ref().is_none_or(|body| body.len() == owed.got);
        assert!(whole || is_lenient, "{} bytes: {}", owed.got, owed.name);
        if let Some(name) = upload.name.take() {
            let content = std::mem::take(&mut upload.content);
            match is_lenient {
                true => self.cut.push((name, content)),
                false => self.uploads.push((name, content, owed.status == Some(201))),
            }
        }
    }
}
