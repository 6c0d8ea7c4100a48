//! DNS messages (RFC 1035), sans-IO: the questions that a stub resolver asks, and what an answer says of them.
//!
//! A message is read up to its question first: whether that was asked decides whether its records are read at all.
//! A record counts only where a chain of CNAME records leads to it from the name that was asked for. Names are
//! lower-case text. Invariant: a compression pointer leads back to before the name it stands in, so that each message
//! ends however it is made; and what a message costs grows with its length only.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
/// The longest name on the wire. RFC 1035 allows 255, nginx these.
const NAME: usize = 257;
const LABEL: usize = 63;
/// Records of one answer that are looked at.
const RECORDS: u16 = 1000;
/// CNAME records of one answer that are followed: each is looked for among all of them.
const CHAIN: usize = 16;
/// Compression pointers in one name: it has no more labels.
const POINTERS: usize = NAME / 2;
const INTERNET: u16 = 1;
const CNAME: u16 = 5;
const TRUNCATED: u16 = 0x0200;

/// What is asked about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An address of IPv4.
    A = 1,
    /// An address of IPv6 (RFC 3596).
    Aaaa = 28,
    /// Services (RFC 2782).
    Srv = 33,
}

impl Kind {
    fn of(number: u16) -> Option<Kind> {
        [Kind::A, Kind::Aaaa, Kind::Srv].into_iter().find(|kind| *kind as u16 == number)
    }
}

/// Where a service is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The lowest is used first.
    pub priority: u16,
    /// The share among those of one priority.
    pub weight: u16,
    /// The port of the service.
    pub port: u16,
    /// The host, without its final dot.
    pub target: Box<str>,
}

/// What an answer says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// From A or AAAA records.
    pub addresses: Vec<IpAddr>,
    /// From SRV records, in the order in which they came.
    pub services: Vec<Service>,
    /// Where the chain of names ends, if there is no record of that name.
    pub alias: Option<Box<str>>,
    /// Seconds that it holds.
    pub ttl: u32,
}

/// A response, read up to its question, which shows to which query it belongs.
#[derive(Debug)]
pub struct Response<'a> {
    /// As sent in the query.
    pub id: u16,
    /// RFC 1035's RCODE: 0 is no error.
    pub code: u8,
    /// It is to be asked for over TCP.
    pub truncated: bool,
    /// The name that was asked for, in lower case.
    pub name: Box<str>,
    /// What was asked about it.
    pub kind: Kind,
    /// The records of its answer: how many, and where they are.
    count: u16,
    records: Reader<'a>,
}

/// A message that is no answer; in nginx's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidMessage(pub &'static str);

impl fmt::Display for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

const SHORT: InvalidMessage = InvalidMessage("short DNS response");

/// The name as it is asked for: lower case, without the dot of the root. None: no such name can exist.
pub fn canonical(name: &[u8]) -> Option<Box<str>> {
    let name = name.strip_suffix(b".").unwrap_or(name);
    let fits = |label: &[u8]| (1..=LABEL).contains(&label.len()) && label.iter().all(|b| is_name_byte(*b));
    if name.len() + 2 > NAME || !name.split(|b| *b == b'.').all(fits) {
        return None;
    }
    String::from_utf8(name.to_ascii_lowercase()).ok().map(Into::into)
}

fn is_name_byte(b: u8) -> bool {
    b.is_ascii_graphic() && b != b'.'
}

/// The message that asks for `kind` of `name`, which is [`canonical`].
pub fn query(id: u16, name: &str, kind: Kind) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + name.len() + 6);
    out.extend_from_slice(&id.to_be_bytes());
    // Recursion is desired; one question.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend_from_slice(label.as_bytes());
    }
    out.push(0);
    out.extend_from_slice(&(kind as u16).to_be_bytes());
    out.extend_from_slice(&INTERNET.to_be_bytes());
    out
}

/// Reads a response up to its records.
///
/// # Errors
/// It is none, or none to a question that [`query`] asks; what it may have answered stays unanswered.
pub fn parse(message: &[u8]) -> Result<Response<'_>, InvalidMessage> {
    let mut reader = Reader { message, at: 0 };
    let (id, flags) = (reader.number()?, reader.number()?);
    let (questions, count) = (reader.number()?, reader.number()?);
    reader.skip(4)?;
    // A response to a standard query; reserved bits are zero (nginx).
    if flags & 0xf870 != 0x8000 {
        return Err(InvalidMessage("invalid DNS response"));
    }
    if questions != 1 {
        return Err(InvalidMessage("invalid number of questions in DNS response"));
    }
    let name = reader.name()?;
    if name.is_empty() {
        return Err(InvalidMessage("zero-length domain name in DNS response"));
    }
    let kind = Kind::of(reader.number()?).ok_or(InvalidMessage("unknown query type in DNS response"))?;
    if reader.number()? != INTERNET {
        return Err(InvalidMessage("unknown query class in DNS response"));
    }
    Ok(Response {
        id,
        code: (flags & 0xf) as u8,
        truncated: flags & TRUNCATED != 0,
        name,
        kind,
        count,
        records: reader,
    })
}

impl Response<'_> {
    /// What its records say; nothing where it is an error or truncated.
    ///
    /// # Errors
    /// A record is malformed.
    pub fn answer(mut self) -> Result<Answer, InvalidMessage> {
        if self.code != 0 || self.truncated {
            return Ok(Answer::default());
        }
        let count = self.count.min(RECORDS);
        let records = (0..count).map(|_| self.records.record()).collect::<Result<Vec<_>, _>>()?;
        Ok(follow(&self.name, self.kind, &records))
    }
}

enum Data {
    Address(IpAddr),
    Service(Service),
    Alias(Box<str>),
    /// DNAME, signatures, and the like.
    Other,
}

struct DnsRecord {
    owner: Box<str>,
    ttl: u32,
    data: Data,
}

/// What the records say of a name.
fn follow(name: &str, kind: Kind, records: &[DnsRecord]) -> Answer {
    let mut answer = Answer { ttl: u32::MAX, ..Answer::default() };
    let mut owner = name;
    // A circle ends, too. Where a longer chain is left, the name is asked for again.
    for _ in 0..CHAIN {
        let next = records.iter().find_map(|record| match &record.data {
            Data::Alias(target) if *record.owner == *owner => Some((target, record.ttl)),
            _ => None,
        });
        let Some((target, ttl)) = next else { break };
        answer.ttl = answer.ttl.min(ttl);
        owner = target;
    }
    for record in records.iter().filter(|record| *record.owner == *owner) {
        match &record.data {
            Data::Address(ip) if ip.is_ipv4() == (kind == Kind::A) => answer.addresses.push(*ip),
            Data::Service(service) if kind == Kind::Srv => answer.services.push(service.clone()),
            _ => continue,
        }
        answer.ttl = answer.ttl.min(record.ttl);
    }
    let found = !answer.addresses.is_empty() || !answer.services.is_empty();
    answer.alias = (!found && owner != name).then(|| owner.into());
    answer
}

#[derive(Debug)]
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Result<&'a [u8], InvalidMessage> {
        let bytes = self.message.get(self.at..self.at + count).ok_or(SHORT)?;
        self.at += count;
        Ok(bytes)
    }

    fn skip(&mut self, count: usize) -> Result<(), InvalidMessage> {
        self.bytes(count).map(|_| ())
    }

    fn number(&mut self) -> Result<u16, InvalidMessage> {
        match self.bytes(2)? {
            [high, low] => Ok(u16::from_be_bytes([*high, *low])),
            _ => Err(SHORT),
        }
    }

    /// A name, which ends here though its last part may stand earlier.
    fn name(&mut self) -> Result<Box<str>, InvalidMessage> {
        let mut text = String::new();
        let (mut at, mut end) = (self.at, None);
        // Where the part that is read begins: a pointer leads to before it.
        let mut start = self.at;
        let mut pointers = 0;
        loop {
            let length = usize::from(*self.message.get(at).ok_or(SHORT)?);
            match length {
                0 => break,
                1..=LABEL => {
                    let label = self.message.get(at + 1..at + 1 + length).ok_or(SHORT)?;
                    if !label.iter().all(|b| is_name_byte(*b)) || text.len() + length + 2 > NAME {
                        return Err(InvalidMessage("invalid name in DNS response"));
                    }
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.extend(label.iter().map(|b| b.to_ascii_lowercase() as char));
                    at += 1 + length;
                }
                0xc0.. => {
                    let low = usize::from(*self.message.get(at + 1).ok_or(SHORT)?);
                    let target = (length & 0x3f) << 8 | low;
                    pointers += 1;
                    if target >= start || pointers > POINTERS {
                        return Err(InvalidMessage("invalid compression pointer in DNS response"));
                    }
                    end = end.or(Some(at + 2));
                    (at, start) = (target, target);
                }
                _ => return Err(InvalidMessage("invalid name in DNS response")),
            }
        }
        self.at = end.unwrap_or(at + 1);
        Ok(text.into())
    }

    fn record(&mut self) -> Result<DnsRecord, InvalidMessage> {
        let owner = self.name()?;
        let (kind, class) = (self.number()?, self.number()?);
        let ttl = u32::from(self.number()?) << 16 | u32::from(self.number()?);
        let length = usize::from(self.number()?);
        let end = self.at + length;
        if end > self.message.len() {
            return Err(SHORT);
        }
        if class != INTERNET {
            return Err(InvalidMessage("unexpected RR class in DNS response"));
        }
        let data = match (kind, Kind::of(kind)) {
            (CNAME, _) => Data::Alias(self.name()?),
            (_, Some(Kind::A)) => Data::Address(Ipv4Addr::from(self.array::<4>(length)?).into()),
            (_, Some(Kind::Aaaa)) => Data::Address(Ipv6Addr::from(self.array::<16>(length)?).into()),
            (_, Some(Kind::Srv)) => {
                let (priority, weight, port) = (self.number()?, self.number()?, self.number()?);
                Data::Service(Service { priority, weight, port, target: self.name()? })
            }
            (_, None) => {
                self.at = end;
                Data::Other
            }
        };
        if self.at != end {
            return Err(InvalidMessage("invalid record in DNS response"));
        }
        // More than 31 bits are none (RFC 2181 §8).
        Ok(DnsRecord { owner, ttl: if ttl > i32::MAX as u32 { 0 } else { ttl }, data })
    }

    fn array<const N: usize>(&mut self, length: usize) -> Result<[u8; N], InvalidMessage> {
        if length != N {
            let is_v4 = N == 4;
            let (v4, v6) = ("invalid A record in DNS response", "invalid AAAA record in DNS response");
            return Err(InvalidMessage(if is_v4 { v4 } else { v6 }));
        }
        self.bytes(N)?.try_into().map_err(|_| SHORT)
    }
}

#[cfg(test)]
mod tests;
