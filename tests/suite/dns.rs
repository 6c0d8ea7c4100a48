//! A name server of the tests' own on loopback: it takes questions over UDP, counts them, and sends what the test says.
//! Which names there are, and how a server lies about them, is the test's.

use std::collections::HashMap;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// What is sent, and whether it comes from another port than the one that was asked.
pub type Message = (Vec<u8>, bool);

/// One question: the name's labels, and its bytes as they came.
pub struct Query {
    pub id: [u8; 2],
    pub labels: Vec<String>,
    pub question: Vec<u8>,
    pub kind: u16,
}

impl Query {
    pub fn parse(message: &[u8]) -> Query {
        let (mut labels, mut at) = (Vec::new(), 12);
        while message[at] > 0 {
            let length = usize::from(message[at]);
            labels.push(String::from_utf8_lossy(&message[at + 1..at + 1 + length]).into_owned());
            at += 1 + length;
        }
        let kind = u16::from_be_bytes([message[at + 1], message[at + 2]]);
        Query { id: [message[0], message[1]], labels, question: message[12..at + 5].to_vec(), kind }
    }

    /// `flags`: the second half of the flags, with the code.
    pub fn answer(&self, flags: [u8; 2], records: &[Vec<u8>]) -> Vec<u8> {
        let count = (records.len() as u16).to_be_bytes();
        [&self.id[..], &flags, &[0, 1], &count, &[0, 0, 0, 0], &self.question, &records.concat()].concat()
    }

    pub fn ok(&self, records: &[Vec<u8>]) -> Vec<u8> {
        self.answer([0x81, 0x80], records)
    }

    pub fn fails(&self, code: u8) -> Vec<u8> {
        self.answer([0x81, 0x80 | code], &[])
    }

    /// The address, where it was asked for.
    pub fn found(&self, address: [u8; 4], ttl: u32) -> Vec<u8> {
        let records = [record(&[0xc0, 12], A, ttl, &address)];
        self.ok(if self.kind == A { &records } else { &[] })
    }
}

pub fn record(owner: &[u8], kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u16).to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, data].concat()
}

pub struct Dns {
    pub address: SocketAddr,
    /// How often each name was asked for its addresses of IPv4 (or of IPv6, with a `6` in front).
    asked: Arc<Mutex<HashMap<String, usize>>>,
}

impl Dns {
    /// None where the address cannot be had. `answer`: what is sent to a question that has come this often before.
    pub fn start(
        address: impl ToSocketAddrs,
        answer: impl Fn(&Query, usize) -> Vec<Message> + Send + 'static,
    ) -> Option<Dns> {
        let udp = UdpSocket::bind(address).ok()?;
        let address = udp.local_addr().expect("bound");
        let other = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let asked: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let counts = asked.clone();
        thread::spawn(move || {
            let mut buf = [0; 1024];
            while let Ok((n, from)) = udp.recv_from(&mut buf) {
                let query = Query::parse(&buf[..n]);
                let key = format!("{}{}", if query.kind == AAAA { "6" } else { "" }, query.labels.join("."));
                let before = {
                    let mut counts = counts.lock().expect("no panic while it is held");
                    let count = counts.entry(key).or_default();
                    *count += 1;
                    *count - 1
                };
                for (message, elsewhere) in answer(&query, before) {
                    let socket = if elsewhere { &other } else { &udp };
                    let _ = socket.send_to(&message, from);
                }
            }
        });
        Some(Dns { address, asked })
    }

    pub fn asked(&self, name: &str) -> usize {
        self.asked.lock().expect("no panic while it is held").get(name).copied().unwrap_or_default()
    }

    /// How many questions there were, about whatever name.
    pub fn questions(&self) -> usize {
        self.asked.lock().expect("no panic while it is held").values().sum()
    }
}
