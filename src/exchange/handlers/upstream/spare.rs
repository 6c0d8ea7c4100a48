//! Buffers that a finished request to an upstream leaves, emptied, for the next one of its exchange. Allocating them
//! for each request took a tenth of its time.
//!
//! Invariant: nothing of the old request can be read here, and no buffer that a long request enlarged is kept.

use super::programs::Programs;
use super::record::{ReceivedHead, RequestTarget, UpstreamRecord};
use crate::http::field::Field;
use std::rc::Rc;

/// Larger buffers, in bytes, are freed.
const MAX_KEPT: usize = 4 << 10;

/// The buffers; what is absent is allocated when it is needed.
#[derive(Default)]
pub struct Spare {
    record: Option<Box<UpstreamRecord>>,
    head: Option<Rc<ReceivedHead>>,
    target: Option<Rc<RequestTarget>>,
    fields: Vec<Field>,
    uri: Vec<u8>,
    request: Vec<u8>,
    pairs: Vec<u8>,
    programs: Programs,
    kind: Option<Rc<[u8]>>,
}

/// Empties a buffer, and frees it if it is too large to keep.
fn emptied<T>(mut buffer: Vec<T>) -> Vec<T> {
    buffer.clear();
    if buffer.capacity() * size_of::<T>() <= MAX_KEPT { buffer } else { Vec::new() }
}

impl Spare {
    /// An empty record, in an allocation of an earlier request if there is one.
    pub fn take_record(&mut self) -> Box<UpstreamRecord> {
        self.record.take().unwrap_or_default()
    }

    /// Called when the request has been answered and logged.
    pub fn keep_record(&mut self, mut record: Box<UpstreamRecord>) {
        if let Some(mut head) = record.head.take()
            && let Some(ReceivedHead { head: parsed, bytes }) = Rc::get_mut(&mut head)
        {
            parsed.clear();
            self.fields = emptied(std::mem::take(&mut parsed.fields));
            *bytes = emptied(std::mem::take(bytes));
            self.head = Some(head);
        }
        record.tries = emptied(std::mem::take(&mut record.tries));
        record.clear();
        self.record = Some(record);
    }

    /// Called when the whole response has been received: keeps the buffers of the request and its target.
    pub fn keep_request(&mut self, request: Vec<u8>, mut target: Rc<RequestTarget>) {
        self.request = emptied(request);
        if let Some(RequestTarget { uri, .. }) = Rc::get_mut(&mut target) {
            let uri = emptied(std::mem::take(uri));
            self.uri = if uri.capacity() > 0 { uri } else { std::mem::take(&mut self.uri) };
            self.target = Some(target);
        }
    }

    /// A buffer for the fields of a response.
    pub fn take_fields(&mut self) -> Vec<Field> {
        std::mem::take(&mut self.fields)
    }

    /// A buffer for the target of a request.
    pub fn take_uri(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.uri)
    }

    /// A buffer for a request to send.
    pub fn take_request(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.request)
    }

    /// A buffer for parameters in the format of their protocol.
    pub fn take_pairs(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.pairs)
    }

    /// Keeps the buffer of a request's parameters (FastCGI, SCGI, uwsgi).
    pub fn keep_pairs(&mut self, pairs: Vec<u8>) {
        self.pairs = emptied(pairs);
    }

    /// An empty list of the programs that a request may run.
    pub fn take_programs(&mut self) -> Programs {
        std::mem::take(&mut self.programs)
    }

    /// Keeps the list, emptied.
    pub fn keep_programs(&mut self, mut programs: Programs) {
        programs.clear();
        self.programs = if programs.size() <= MAX_KEPT { programs } else { Programs::default() };
    }

    /// Moves `target` into an `Rc`, reusing a kept one.
    pub fn share_target(&mut self, target: RequestTarget) -> Rc<RequestTarget> {
        shared(self.target.take(), target)
    }

    /// Moves `head` into an `Rc`, reusing a kept one.
    pub fn share_head(&mut self, head: ReceivedHead) -> Rc<ReceivedHead> {
        shared(self.head.take(), head)
    }

    /// A media type as a response keeps it: that of the last response, if it is the same.
    pub fn share_type(&mut self, kind: &[u8]) -> Rc<[u8]> {
        if let Some(last) = self.kind.as_ref().filter(|last| ***last == *kind) {
            return last.clone();
        }
        let kind: Rc<[u8]> = kind.into();
        self.kind = Some(kind.clone()).filter(|kind| kind.len() <= MAX_KEPT);
        kind
    }

    /// A buffer for the bytes of a response head.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        let head = self.head.as_mut().and_then(Rc::get_mut);
        head.map(|head| std::mem::take(&mut head.bytes)).unwrap_or_default()
    }
}

/// Moves `value` into an older `Rc`, if there is one.
fn shared<T>(room: Option<Rc<T>>, value: T) -> Rc<T> {
    let Some(mut room) = room else { return Rc::new(value) };
    match Rc::get_mut(&mut room) {
        Some(old) => *old = value,
        None => return Rc::new(value),
    }
    room
}

#[cfg(test)]
mod tests {
    use super::super::record::Try;
    use super::*;
    use crate::http::upstream_head::UpstreamHead;

    fn record(bytes: usize) -> Box<UpstreamRecord> {
        let mut head = UpstreamHead::with_room(vec![Field::default(); 3]);
        head.status = 502;
        let head = Rc::new(ReceivedHead { head, bytes: vec![b'x'; bytes] });
        let tries = vec![Try::of("a".into(), 1)];
        let mut record = Box::new(UpstreamRecord::default());
        (record.tries, record.head) = (tries, Some(head));
        record.trailers.push(b"a", b"b");
        record
    }

    #[test]
    fn a_request_leaves_room_and_nothing_else() {
        let mut spare = Spare::default();
        spare.keep_record(record(100));
        let next = spare.take_record();
        assert!(next.tries.is_empty() && next.tries.capacity() > 0 && next.head.is_none() && next.trailers.is_empty());
        let (bytes, fields) = (spare.take_bytes(), spare.take_fields());
        assert!(bytes.is_empty() && bytes.capacity() >= 100 && fields.is_empty() && fields.capacity() >= 3);
        let head = spare.share_head(ReceivedHead { head: UpstreamHead::default(), bytes });
        assert_eq!((head.head.status, head.bytes.len()), (0, 0));
        // What is still in use elsewhere is not reused.
        let used = record(1);
        let _user = used.head.clone();
        spare.keep_record(used);
        assert_eq!(spare.take_bytes().capacity(), 0);
        // A long request does not leave a large buffer.
        spare.keep_record(record(MAX_KEPT + 1));
        assert_eq!(spare.take_bytes().capacity(), 0);
    }
}
