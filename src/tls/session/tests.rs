//! Sessions between our own client and server, with their bytes split and corrupted at every point.

use super::*;
use crate::tls::server::{Protocols, SessionCache, certified};
use crate::tls::{ciphers, client, key, server, testing};

fn server_config(protocols: Protocols) -> Arc<ServerConfig> {
    let made = testing::leaf("example.org", &["example.org"]);
    let key = key::load(made.key_pem.as_bytes(), &[]).expect("a key");
    let certified = certified(vec![made.certificate()], key).expect("a pair");
    let options = server::Options {
        certificates: vec![Arc::new(certified)],
        protocols,
        suites: ciphers::suites("DEFAULT").expect("suites"),
        groups: ciphers::default_groups(),
        prefers_own_ciphers: false,
        buffer_size: 16384,
        alpn: vec![b"http/1.1".to_vec()],
        client_names: None,
        policy: Vec::new(),
        cache: SessionCache::None,
        tickets: true,
        ticket_keys: Vec::new(),
        session_timeout: 300,
        early_data: false,
    };
    options.build().expect("a configuration")
}

fn client_config() -> Arc<ClientConfig> {
    let options = client::Options::with_defaults(4, vec![b"http/1.1".to_vec()]);
    options.build().expect("a configuration")
}

/// One end of a connection.
struct End {
    session: Session,
    plain: Vec<u8>,
}

impl End {
    fn new(session: Session) -> End {
        End { session, plain: Vec::new() }
    }

    fn give(&mut self, bytes: &[u8]) -> Result<Vec<u8>, SessionFault> {
        let mut out = Vec::new();
        self.session.receive(&mut bytes.to_vec(), &mut self.plain, &mut out)?;
        Ok(out)
    }
}

/// Exchanges bytes in pieces of `most` until neither end has more to send.
fn talk(client: &mut End, server: &mut End, most: usize) {
    let mut to_server = client.give(&[]).expect("a hello");
    let mut to_client = Vec::new();
    while !to_server.is_empty() || !to_client.is_empty() {
        for piece in std::mem::take(&mut to_server).chunks(most) {
            to_client.extend(server.give(piece).expect("the server goes on"));
        }
        for piece in std::mem::take(&mut to_client).chunks(most) {
            to_server.extend(client.give(piece).expect("the client goes on"));
        }
    }
}

fn pair(client: &Arc<ClientConfig>, most: usize, config: &Arc<ServerConfig>) -> (End, End) {
    let name = ServerName::try_from("example.org").expect("a name");
    let mut client = End::new(Session::client(client.clone(), name).expect("a client"));
    let mut server = End::new(Session::server(config.clone()).expect("a server"));
    talk(&mut client, &mut server, most);
    (client, server)
}

const BOTH: [Protocols; 2] = [Protocols { v1_2: true, v1_3: false }, Protocols { v1_2: false, v1_3: true }];

#[test]
fn a_handshake_is_made_however_its_bytes_arrive() {
    for protocols in BOTH {
        let config = server_config(protocols);
        for most in [1, 2, 7, 100, 1000, 100_000] {
            let (client, server) = pair(&client_config(), most, &config);
            for end in [&client, &server] {
                assert_eq!(end.session.state(), SessionState::Open, "{protocols:?} in pieces of {most}");
                assert_eq!(end.session.alpn(), Some(&b"http/1.1"[..]));
            }
            let version = if protocols.v1_2 { "TLSv1.2" } else { "TLSv1.3" };
            assert_eq!(server.session.version(), version);
            assert!(server.session.cipher() != 0 && server.session.group() != 0);
            assert_eq!(client.session.peer_certificates().len(), 1);
        }
    }
}

#[test]
fn data_goes_both_ways_cut_anywhere_and_its_end_is_known() {
    for protocols in BOTH {
        let (mut client, mut server) = pair(&client_config(), 9999, &server_config(protocols));
        let mut room = vec![0; SEALED];
        let data: Vec<u8> = (0..MAX_PLAINTEXT).map(|n| n as u8).collect();
        let sealed = server.session.seal(&data, &mut room).expect("sealed");
        for piece in room[..sealed].chunks(777) {
            client.give(piece).expect("taken");
        }
        assert!(client.plain == data, "the data came over");
        assert_eq!(client.session.state(), SessionState::Open);
        let sealed = client.session.seal(b"GET", &mut room).expect("sealed");
        for cut in 0..sealed {
            assert_eq!(server.plain, b"", "cut at {cut}");
            server.give(&room[cut..=cut]).expect("taken");
        }
        assert_eq!(server.plain, b"GET");
        let sealed = server.session.close(&mut room).expect("sealed");
        client.give(&room[..sealed]).expect("taken");
        assert_eq!(client.session.state(), SessionState::Ended);
        // The other direction still works after that.
        let sealed = client.session.seal(b" / ", &mut room).expect("sealed after the peer's end");
        server.give(&room[..sealed]).expect("taken");
        assert_eq!(server.plain, b"GET / ");
        assert_eq!(server.session.state(), SessionState::Open);
    }
}

#[test]
fn a_changed_byte_ends_the_connection_with_an_alert() {
    for protocols in BOTH {
        let config = server_config(protocols);
        for at in [0, 5, 20] {
            let (mut client, mut server) = pair(&client_config(), 9999, &config);
            let mut room = vec![0; SEALED];
            let sealed = client.session.seal(b"GET / HTTP/1.1\r\n\r\n", &mut room).expect("sealed");
            room[at] ^= 0x40;
            let mut out = Vec::new();
            let mut plain = Vec::new();
            let taken = server.session.receive(&mut room[..sealed], &mut plain, &mut out);
            assert!(taken.is_err() && plain.is_empty(), "{protocols:?} at {at}");
            assert!(!out.is_empty(), "{protocols:?} at {at}: the peer gets an alert");
            client.give(&out).expect_err("an alert");
        }
    }
}

#[test]
fn sessions_are_resumed() {
    for protocols in BOTH {
        let (config, client_config) = (server_config(protocols), client_config());
        for resumed in [false, true, true] {
            let (_, server) = pair(&client_config, 9999, &config);
            assert_eq!(server.session.is_resumed(), resumed, "{protocols:?}");
        }
        // Another certificate: another context.
        let (_, server) = pair(&client_config, 9999, &server_config(protocols));
        assert!(!server.session.is_resumed());
    }
}

#[test]
fn a_handshake_message_in_two_records_does_not_disturb_what_is_sent_meanwhile() {
    let protocols = BOTH[0];
    let mut server = End::new(Session::server(server_config(protocols)).expect("a server"));
    let name = ServerName::try_from("example.org").expect("a name");
    let mut client = End::new(Session::client(client_config(), name).expect("a client"));
    let hello = client.give(&[]).expect("a hello");
    let (first, second) = hello[5..].split_at(40);
    for part in [first, second] {
        let record = [&[22, 3, 1, 0, 0][..], part].concat();
        let mut record = record;
        record[3..5].copy_from_slice(&(part.len() as u16).to_be_bytes());
        let answer = server.give(&record).expect("taken");
        assert_eq!(answer.is_empty(), part == first);
        // Nothing can be sealed yet; trying is harmless.
        assert!(server.session.seal(b"x", &mut vec![0; SEALED]).is_err());
    }
}

#[test]
fn an_endless_handshake_is_given_up() {
    let mut server = End::new(Session::server(server_config(Protocols::default())).expect("a server"));
    let mut given = 0;
    let fault = loop {
        // Records of a hello that never ends.
        let mut record = vec![22, 3, 1, 0x40, 0];
        record.extend(if given == 0 { vec![1, 0xff, 0xff, 0xff] } else { Vec::new() });
        record.resize(5 + 0x4000, 0);
        given += record.len();
        assert!(given < 1 << 20, "given up at last");
        if let Err(fault) = server.give(&record) {
            break fault;
        }
    };
    assert!(!fault.to_string().is_empty());
}

/// A server may send any number of session tickets, which are read without being asked for.
#[test]
fn a_server_that_sends_tickets_without_end_is_left() {
    let mut config = ServerConfig::clone(&server_config(Protocols::default()));
    config.send_tls13_tickets = 2_000;
    let name = ServerName::try_from("example.org").expect("a name");
    let mut client = Session::client(client_config(), name).expect("a session");
    let mut server = End::new(Session::server(Arc::new(config)).expect("a session"));
    let (mut to_server, mut plain) = (Vec::new(), Vec::new());
    client.receive(&mut [], &mut plain, &mut to_server).expect("a hello");
    let result = loop {
        let mut to_client = server.give(&std::mem::take(&mut to_server)).expect("the server goes on");
        match client.receive(&mut to_client, &mut plain, &mut to_server) {
            Ok(()) if to_server.is_empty() => break Ok(()),
            Ok(()) => {}
            Err(fault) => break Err(fault.to_string()),
        }
    };
    assert_eq!(result, Err("there are too many messages of the protocol itself".to_owned()));
    assert_eq!(client.state(), SessionState::Failed);
}
