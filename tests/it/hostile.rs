//! Peers and strangers that keep to no rule, against a real process: whatever they send is refused for a stated reason
//! and counted, the node goes on serving its callers, keeps to a bound of memory, and tells the same as before
//! (X1 to X4, M1). What runs elsewhere is not repeated here:
//!
//! - `net/tests/hostile.rs` and `net/tests/trust.rs`: the same frames and floods between two endpoints in one process,
//!   limit by limit, and answers that are none.
//! - `src/node/tests/intruder.rs`: what intake makes of each kind of false record, with the clock in hand.
//! - `members.rs`: join tokens that were used, have expired, were forged or belong to another node; nodes that were
//!   removed.
//! - `fuzz/`: the decoders.

use std::{
    fs,
    net::UdpSocket,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use covault_model::{
    hlc::{Hlc, Millis},
    id::{ClusterId, PayloadHash},
    key::NodeKey,
    limits::RECORD_BYTES_MAX,
    marks::Mark,
    name::{CallerName, Description, SecretName, SecretPath},
    record::{Body, Header, Record, VersionBody},
};
use covault_net::{
    CallError, Channel, Loss, Reason, Unreachable,
    frame::{FRAME_BYTES_MAX, RequestHead},
    hello::Hello,
};
use quinn::{Connection, RecvStream, SendStream, TransportConfig, VarInt};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Chance, Client, Place, Process, eventually,
    intruder::{Ask, Intruder, Known, Sent, closed, message, send},
    joining::{invite, join, roles},
};

/// The most memory that a node may take, whatever one peer and a crowd of strangers do: what the limits of
/// `net/src/limits.rs` let one peer make it hold, and room for a debug build.
const MEMORY_BYTES_MAX: u64 = 256 << 20;

/// How long nothing may happen before it counts as standing still.
const STILL: Duration = Duration::from_millis(300);

/// A node alone in its majority, with a secret, and a member beside it that keeps to no rule.
struct Siege {
    node: Process,
    first: Place,
    intruder: Intruder,
    before: Vec<Value>,
}

impl Siege {
    fn lay() -> Self {
        let first = Place::initialised();
        let node = first.serve("[quic]\nlisten = \"127.0.0.1:0\"\n", &[]);
        first.admin().create("app/db", "first");
        first.admin().update("app/db", "second");
        let id = first.admin().get("/v1/status").expect(200).text("/node");
        let elsewhere = first.elsewhere();
        join(&elsewhere, &invite(&first.admin())).expect(0);
        let intruder = Intruder::of(&elsewhere.data(), &id);
        let before = told(&first.admin());
        Self { node, first, intruder, before }
    }

    /// How often the node counted this.
    fn counted(&self, label: &str) -> u64 {
        let metrics = self.first.stranger().get("/metrics").expect(200);
        let text = String::from_utf8(metrics.body).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(label)?.trim().parse().ok());
        value.unwrap_or_default()
    }

    fn refused(&self, reason: Reason) -> u64 {
        self.counted(&format!("covault_refused_peers_total{{reason=\"{}\"}}", reason.name()))
    }

    /// The node counts after it has closed, so a look may come too early.
    fn counts_one_more(&self, reason: Reason, before: u64) {
        eventually("it to be counted", || (before < self.refused(reason)).then_some(()));
        assert_eq!(self.refused(reason), before + 1, "{reason:?}");
    }

    /// All records of a secret, with their payloads, as a member is given them once they are committed.
    fn records(&self, name: &str, count: usize) -> Vec<Sent> {
        eventually("the records to be committed", || {
            let records = self.intruder.records(&path(name));
            (records.len() == count && records.iter().all(|sent| sent.2.is_some())).then_some(records)
        })
    }

    fn refused_records(&self, code: &str) -> u64 {
        self.counted(&format!("covault_refused_records_total{{code=\"{code}\"}}"))
    }

    /// The node serves, has kept to its memory, and tells what it told before.
    fn check_stands(&self) {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("still/{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.first.admin().create(&name, "served");
        assert_eq!(self.first.admin().value(&name), "served");
        assert_eq!(told(&self.first.admin()), self.before, "nothing has changed");
        let memory = resident(self.node.pid());
        assert!(memory < MEMORY_BYTES_MAX, "{memory} bytes of memory");
    }
}

/// What the node says of the secret, and who its members are.
fn told(admin: &Client) -> Vec<Value> {
    let secret = admin.get("/v1/secrets/app/db").expect(200).body_json();
    let members: Vec<String> = roles(admin).into_iter().map(|(node, _)| node).collect();
    vec![secret, admin.history("app/db").into(), members.into()]
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kilobytes << 10
}

fn path(name: &str) -> SecretPath {
    SecretPath { owner: CallerName::parse("admin").unwrap(), name: SecretName::parse(name).unwrap() }
}

fn rejected(reason: Reason) -> CallError {
    CallError::Unreachable(Unreachable::Rejected(reason))
}

fn given_up(reason: Reason) -> CallError {
    CallError::Lost(Loss::GivenUp(reason))
}

fn whole(channel: Channel, body: &[u8]) -> Vec<u8> {
    [&RequestHead { channel, length: body.len() }.to_bytes().unwrap()[..], body].concat()
}

#[test]
fn a_key_that_is_not_enrolled_and_a_member_of_another_cluster_are_let_in_nowhere() {
    let siege = Siege::lay();
    let intruder = &siege.intruder;
    let unknown = NodeKey::from_seed(&[77; 32]);
    let reason = intruder.run(async {
        let connection = intruder.dial(&unknown, TransportConfig::default()).await.unwrap();
        assert_eq!(send(&connection, &Hello::Peer(intruder.cluster).to_bytes()).await, None);
        closed(&connection).await
    });
    assert_eq!(reason, Reason::UnknownKey);
    for channel in [Channel::Raft, Channel::Forward, Channel::Records, Channel::Control] {
        let reason = intruder.run(async {
            let connection = intruder.dial(&unknown, TransportConfig::default()).await.unwrap();
            assert!(send(&connection, &Hello::Stranger.to_bytes()).await.is_some());
            send(&connection, &whole(channel, b"x")).await;
            closed(&connection).await
        });
        assert_eq!(reason, Reason::ForbiddenChannel, "a stranger may ask to join, not {channel}");
    }
    let other = ClusterId([9; 16]);
    assert_eq!(intruder.ask_from(other, Channel::Control), Err(rejected(Reason::WrongCluster)));
    for (reason, times) in [(Reason::UnknownKey, 1), (Reason::ForbiddenChannel, 4), (Reason::WrongCluster, 1)]
    {
        siege.counts_one_more(reason, times - 1);
    }
    siege.check_stands();
}

#[test]
fn malformed_frames_of_every_kind_end_the_connection_and_are_counted() {
    let siege = Siege::lay();
    let intruder = &siege.intruder;
    let mut chance = Chance::announced("hostile");
    let good = whole(Channel::Control, b"twelve bytes");
    let mut frames = vec![
        (Vec::new(), Reason::MalformedFrame),
        (good[..3].to_vec(), Reason::MalformedFrame),
        (good[..good.len() - 1].to_vec(), Reason::MalformedFrame),
        ([&good[..], b"!"].concat(), Reason::MalformedFrame),
        ([&[0, 0, 1, 0, 200], &chance.bytes(256)[..]].concat(), Reason::UnknownChannel),
        (whole(Channel::Join, b"x"), Reason::ForbiddenChannel),
    ];
    for channel in Channel::ALL {
        let [a, b, c, d] = (channel.bytes_max() as u32 + 1).to_be_bytes();
        frames.push((vec![a, b, c, d, channel.code(), 0], Reason::OversizeFrame));
    }
    for (frame, reason) in frames {
        let before = siege.refused(reason);
        let ended = intruder.run(async {
            let connection = intruder.enter(TransportConfig::default()).await;
            send(&connection, &frame).await;
            closed(&connection).await
        });
        assert_eq!(ended, reason, "{} bytes", frame.len());
        siege.counts_one_more(reason, before);
    }
    for (hello, reason) in hellos(intruder.cluster) {
        let before = siege.refused(reason);
        let ended = intruder.run(async {
            let connection = intruder.dial(&intruder.key, TransportConfig::default()).await.unwrap();
            send(&connection, &hello).await;
            closed(&connection).await
        });
        assert_eq!(ended, reason, "{hello:?}");
        siege.counts_one_more(reason, before);
    }
    siege.check_stands();
}

/// What is no hello, and why.
fn hellos(cluster: ClusterId) -> [(Vec<u8>, Reason); 5] {
    let good = Hello::Peer(cluster).to_bytes().to_vec();
    let with = |at: usize, byte: u8| {
        let mut hello = good.clone();
        hello[at] = byte;
        hello
    };
    [
        (good[..20].to_vec(), Reason::MalformedHello),
        ([&good[..], &[0]].concat(), Reason::MalformedHello),
        (with(0, b'C'), Reason::MalformedHello),
        (with(5, 2), Reason::WrongVersion),
        (with(6, 7), Reason::MalformedHello),
    ]
}

#[test]
fn what_is_no_message_of_its_channel_is_not_answered_and_changes_nothing() {
    let siege = Siege::lay();
    let intruder = &siege.intruder;
    let mut chance = Chance::announced("hostile");
    let known = message(&Ask::Push(Vec::new()));
    for channel in [Channel::Raft, Channel::Forward, Channel::Records, Channel::Control] {
        let mut bodies = vec![
            Vec::new(),
            vec![0xff; 4],
            known[..known.len() - 1].to_vec(),
            [&known[..], &[0]].concat(),
            [&[0x82, 0x02], &known[2..]].concat(),
            // A list that says that it has 2^60 items.
            vec![0x82, 0x01, 0x9b, 0x10, 0, 0, 0, 0, 0, 0, 0],
            // Ten thousand lists in one another.
            [vec![0x82, 0x01], vec![0x81; 10_000]].concat(),
        ];
        bodies.extend((0..20).map(|_| {
            let length = chance.below(4096) as usize;
            chance.bytes(length)
        }));
        for body in bodies {
            let answer = intruder.ask(channel, body.clone());
            let refused = matches!(answer, Err(CallError::Lost(Loss::GivenUp(_))));
            assert!(refused, "{channel}: {answer:?} to {:?}", &body[..body.len().min(16)]);
        }
    }
    assert!(0 < siege.refused(Reason::MalformedFrame) && 0 < siege.refused(Reason::Unanswered));
    siege.check_stands();
}

/// The header of a description that a member might give the secret.
fn header(siege: &Siege, name: &str, time: u64) -> Header {
    let description = Description::parse("by a member").unwrap();
    Header {
        secret: path(name).id(),
        parents: Vec::new(),
        depth: 1,
        time: Hlc::start_of(Millis(time)),
        author: siege.intruder.key.node_id(),
        caller: CallerName::parse("admin").unwrap(),
        idempotency: None,
        body: Body::Marks(vec![Mark::Description(Some(description))]),
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_millis()).unwrap()
}

#[test]
fn a_member_that_forges_records_is_turned_away_and_counted() {
    let siege = Siege::lay();
    let push = |bytes: Vec<u8>, payload: Option<&[u8]>| {
        let sent = Sent(path("app/db"), bytes.into(), payload.map(|bytes| bytes.to_vec().into()));
        siege.intruder.ask(Channel::Records, message(&Ask::Push(vec![sent])))
    };
    let sound = Record::sign(header(&siege, "app/db", now()), &siege.intruder.key);
    let mut forged = sound.to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let mut changed = siege.records("app/db", 2)[0].1.to_vec();
    let caller = changed.windows(5).position(|bytes| bytes == b"admin").unwrap();
    changed[caller] = b'A';
    let elsewhere = Record::sign(header(&siege, "app/other", now()), &siege.intruder.key).to_bytes();
    let cases = [
        (forged, None, "forged_record", Reason::BadRecord),
        (changed, None, "forged_record", Reason::BadRecord),
        (elsewhere, None, "other_secret", Reason::BadRecord),
        (sound.to_bytes(), Some(&b"payload"[..]), "other_payload", Reason::BadRecord),
        (vec![0; RECORD_BYTES_MAX + 1], None, "oversized_record", Reason::BadRecord),
        (vec![7; 100], None, "malformed_record", Reason::MalformedFrame),
    ];
    for (bytes, payload, code, reason) in cases {
        let (records, peers) = (siege.refused_records(code), siege.refused(reason));
        assert_eq!(push(bytes, payload), Err(given_up(reason)), "{code}");
        assert_eq!(siege.refused_records(code), records + 1, "{code}");
        eventually("it to be counted", || (peers < siege.refused(reason)).then_some(()));
        siege.check_stands();
    }
}

#[test]
fn a_member_makes_no_name_exist_no_number_and_nothing_of_tomorrow() {
    let siege = Siege::lay();
    let (key, admin) = (&siege.intruder.key, siege.first.admin());
    let push = |name: &str, record: &Record, payload: Option<&[u8]>| {
        let sent = Sent(path(name), record.to_bytes().into(), payload.map(|bytes| bytes.to_vec().into()));
        siege.intruder.ask(Channel::Records, message(&Ask::Push(vec![sent]))).unwrap();
    };
    push("app/none", &Record::sign(header(&siege, "app/none", now()), key), None);
    push("app/db", &Record::sign(header(&siege, "app/db", now() + 3_600_000), key), None);
    assert_eq!(siege.counted("covault_held_back_records"), 1);
    admin.get("/v1/secrets/app/none").expect_problem(404, "not_found");
    siege.check_stands();
    let body = |payload: &[u8]| VersionBody {
        payload: PayloadHash::of(payload),
        payload_len: payload.len() as u32,
        content_type: None,
        expires_at: None,
        restores: None,
    };
    // Earlier than what was agreed: it is one of the history, without a number, and in force at no time.
    let early = Header { body: Body::Version(body(b"sealed")), ..header(&siege, "app/db", 1) };
    let early = Record::sign(early, key);
    push("app/db", &early, Some(b"sealed"));
    let versions = admin.history("app/db");
    let claimed = versions.iter().find(|version| version["id"] == early.id().to_string());
    assert_eq!(claimed.map(|version| &version["number"]), Some(&Value::Null));
    let numbers: Vec<_> = versions.iter().filter_map(|version| version["number"].as_u64()).collect();
    assert_eq!(numbers, [2, 1]);
    assert_eq!(admin.value("app/db"), "second");
}

#[test]
fn a_member_does_not_bring_back_what_was_destroyed() {
    let siege = Siege::lay();
    let admin = siege.first.admin();
    let records = siege.records("app/db", 2);
    admin.post("/v1/destroy/app/db", &json!({"versions": [1]})).expect(200);
    siege.intruder.ask(Channel::Records, message(&Ask::Push(records))).unwrap();
    admin.get("/v1/secrets/app/db?version=1").expect_problem(410, "version_destroyed");
    assert_eq!(siege.refused_records("destroyed_payload"), 1);
    eventually("the payload to be given to nobody any more", || {
        siege.intruder.records(&path("app/db")).iter().any(|sent| sent.2.is_none()).then_some(())
    });
    assert_eq!(admin.value("app/db"), "second");
}

#[test]
fn a_flood_leaves_callers_served_and_memory_bounded() {
    let siege = Siege::lay();
    throw_packets(&siege);
    siege.check_stands();
    let crowd = crowd(&siege);
    siege.check_stands();
    drop(crowd);
    assert!(0 < siege.refused(Reason::TooManyStrangers), "strangers beyond the limit were refused");
    let frames = begin_frames(&siege);
    siege.check_stands();
    drop(frames);
}

#[test]
fn a_member_that_takes_no_answers_loses_them() {
    let siege = Siege::lay();
    siege.first.admin().create("large", &"x".repeat(1 << 20));
    siege.records("large", 1);
    let untaken = ask_and_take_nothing(&siege);
    eventually("answers beyond what a peer may leave untaken to be dropped", || {
        (0 < siege.refused(Reason::Busy)).then_some(())
    });
    siege.check_stands();
    drop(untaken);
}

/// Packets that begin a handshake and are none.
fn throw_packets(siege: &Siege) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut chance = Chance::announced("hostile");
    for _ in 0..20_000 {
        let mut packet = chance.bytes(1200);
        packet[..5].copy_from_slice(&[0xc3, 0, 0, 0, 1]);
        // What the node does not take from its socket is lost.
        let _ = socket.send_to(&packet, siege.intruder.victim.1.0);
    }
}

/// Strangers that come and say nothing, more at a time than are let in.
fn crowd(siege: &Siege) -> Vec<Connection> {
    siege.intruder.run(async {
        let mut held = Vec::new();
        for number in 0..100 {
            let key = NodeKey::from_seed(&[number; 32]);
            held.extend(siege.intruder.dial(&key, TransportConfig::default()).await.ok());
        }
        held
    })
}

type Streams = Vec<(SendStream, RecvStream)>;

/// The largest frames, on as many streams as there are, of which no more comes than the node lets in.
fn begin_frames(siege: &Siege) -> (Connection, Streams) {
    let frame = whole(Channel::Records, &vec![0; FRAME_BYTES_MAX]);
    siege.intruder.run(async {
        let connection = siege.intruder.enter(TransportConfig::default()).await;
        let mut streams = Vec::new();
        while let Ok(opened) = timeout(STILL, connection.open_bi()).await {
            let (mut send, recv) = opened.unwrap();
            let _ = timeout(Duration::from_millis(20), send.write_all(&frame[..frame.len() - 1])).await;
            streams.push((send, recv));
            assert!(streams.len() <= 136, "more streams than both lanes have");
        }
        (connection, streams)
    })
}

/// Asks for large answers, and takes none.
fn ask_and_take_nothing(siege: &Siege) -> (Connection, Streams) {
    let known = Known { path: path("large"), has: Vec::new(), awaits: Vec::new() };
    let ask = whole(Channel::Records, &message(&Ask::Lacking(vec![known])));
    siege.intruder.run(async {
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(1024));
        transport.keep_alive_interval(Some(Duration::from_secs(1)));
        let connection = siege.intruder.enter(transport).await;
        let mut streams = Vec::new();
        for _ in 0..120 {
            let (mut send, recv) = connection.open_bi().await.unwrap();
            send.write_all(&ask).await.unwrap();
            send.finish().unwrap();
            streams.push((send, recv));
        }
        (connection, streams)
    })
}
