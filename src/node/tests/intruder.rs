//! An enrolled node that does not keep to the rules: whatever it sends, nothing that does not verify changes
//! anything, it is counted by its reason, and the node is turned away. Shows X1 to X4.

use std::net::SocketAddr;

use bytes::Bytes;
use covault_model::{
    arrival::Fault,
    encode,
    hlc::{Hlc, Millis},
    id::{ChangeHash, PayloadHash},
    limits::RECORD_BYTES_MAX,
    marks::Mark,
    name::{Description, SecretPath},
    record::{Body, Header, Parent, Record, VersionBody},
};
use covault_net::{CallError, Channel, Endpoint, Loss, Reason, Trust};
use covault_store::SecretView;
use serde_bytes::ByteBuf;

use super::{DEADLINE, Node, ann, bound, id, key, loopback, one, path, peer, setup};
use crate::{
    host::Host,
    merge::{
        change_hash_of,
        message::{Ask, Sent, Told, write},
    },
    vault::Which,
};

/// The intruder's number; it is enrolled.
const NUMBER: u8 = 9;

/// A vault with one secret, and an intruder beside it.
struct Scene {
    node: Node,
    intruder: Endpoint,
}

impl Scene {
    async fn new() -> Self {
        let address: SocketAddr = loopback();
        let node = one(&[(NUMBER, address)], None).await;
        node.create("app/db", "v").await;
        node.confirm().await;
        let trust = Trust::new([(id(1), peer(node.address))].into());
        let (intruder, _) = Endpoint::start(&key(NUMBER), bound(address).await, trust, setup()).unwrap();
        Self { node, intruder }
    }

    async fn ask(&self, bytes: Vec<u8>) -> Result<Bytes, CallError> {
        self.intruder.call(id(1), Channel::Records, bytes.into(), DEADLINE).await
    }

    async fn push(&self, sent: Sent) -> Result<Bytes, CallError> {
        self.ask(write(&Ask::Push(vec![sent]))).await
    }

    fn held(&self) -> (SecretView, Vec<Record>, [u8; 32]) {
        self.node.says("app/db").unwrap()
    }

    fn count(&self, fault: Fault) -> u64 {
        self.node.running().records.intake().faults().get(&fault).copied().unwrap_or_default()
    }

    /// The header of a description that follows on all there is.
    fn header(&self, text: &str) -> Header {
        let records = self.held().1;
        let mut parents: Vec<_> =
            records.iter().map(|record| Parent(record.id(), change_hash_of(record))).collect();
        parents.sort_unstable();
        Header {
            secret: path("app/db").id(),
            parents,
            depth: 1 + records.iter().map(|record| record.header().depth).max().unwrap(),
            time: Hlc::start_of(Millis(self.node.clock.now().0 + 1)),
            author: id(NUMBER),
            caller: ann().session.caller,
            idempotency: None,
            body: Body::Marks(vec![Mark::Description(Some(Description::parse(text).unwrap()))]),
        }
    }

    fn marks(&self) -> Record {
        Record::sign(self.header("by a peer"), &key(NUMBER))
    }

    /// It is turned away for this, once more counted, and nothing has changed.
    async fn check_refused(&self, sent: Sent, fault: Fault, reason: Reason) {
        let (before, counted) = (self.held(), self.count(fault));
        let answer = self.push(sent).await;
        assert_eq!(answer, Err(CallError::Lost(Loss::GivenUp(reason))), "{fault}");
        assert_eq!(self.count(fault), counted + 1, "{fault}");
        assert_eq!(self.held(), before, "{fault}");
        let refused = self.node.running().endpoint.stats().refused;
        assert!(refused.contains_key(&reason), "the reason is counted by the endpoint too");
        self.node.check_views();
    }

    /// It is not punished, and nothing has changed.
    async fn check_waits(&self, sent: Sent) {
        let before = self.held();
        assert_eq!(self.push(sent).await.unwrap(), write(&Told::Taken));
        assert_eq!(self.held(), before);
    }
}

fn sent(path: SecretPath, record: &Record, payload: Option<&[u8]>) -> Sent {
    Sent(path, record.to_bytes().into(), payload.map(ByteBuf::from))
}

fn version(header: Header, payload: &[u8]) -> Record {
    let body = VersionBody {
        payload: PayloadHash::of(payload),
        payload_len: payload.len() as u32,
        content_type: None,
        expires_at: None,
        restores: None,
    };
    Record::sign(Header { body: Body::Version(body), ..header }, &key(NUMBER))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_verify_changes_nothing_and_ends_the_connection() {
    let scene = Scene::new().await;
    let record = scene.marks();
    let mut forged = record.to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let mut tampered = record.to_bytes();
    *tampered.iter_mut().find(|byte| **byte == b'p').unwrap() ^= 1;
    let version = version(scene.header("x"), b"sealed");
    let as_sent = |bytes: Vec<u8>| Sent(path("app/db"), bytes.into(), None);
    let cases = [
        (as_sent(forged), Fault::Forged, Reason::BadRecord),
        (as_sent(tampered), Fault::Forged, Reason::BadRecord),
        (as_sent(vec![0; 10]), Fault::Malformed, Reason::MalformedFrame),
        (as_sent(vec![0; RECORD_BYTES_MAX + 1]), Fault::Oversized, Reason::BadRecord),
        (sent(path("app/other"), &record, None), Fault::OtherSecret, Reason::BadRecord),
        (sent(path("app/db"), &record, Some(b"x")), Fault::OtherPayload, Reason::BadRecord),
        (sent(path("app/db"), &version, Some(b"Sealed")), Fault::OtherPayload, Reason::BadRecord),
    ];
    for (sent, fault, reason) in cases {
        scene.check_refused(sent, fault, reason).await;
    }
    let mut header = scene.header("x");
    header.parents[0].1 = ChangeHash([5; 32]);
    let of_false_parent = Record::sign(header, &key(NUMBER));
    let mut header = scene.header("x");
    header.depth += 1;
    let too_deep = Record::sign(header, &key(NUMBER));
    for record in [of_false_parent, too_deep] {
        scene
            .check_refused(sent(path("app/db"), &record, None), Fault::FalseParents, Reason::BadRecord)
            .await;
    }
    // It may dial again, and a sound record of its own counts.
    assert!(scene.push(sent(path("app/db"), &record, None)).await.is_ok());
    assert_eq!(scene.held().1.len(), 2);
    scene.node.check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_message_counts_of_which_one_record_is_forged() {
    let scene = Scene::new().await;
    let (record, before) = (scene.marks(), scene.held());
    let mut forged = record.to_bytes();
    *forged.last_mut().unwrap() ^= 1;
    let both = vec![sent(path("app/db"), &record, None), Sent(path("app/db"), forged.into(), None)];
    assert!(scene.ask(write(&Ask::Push(both))).await.is_err());
    assert_eq!(scene.held(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_from_the_future_is_held_back_until_its_time_comes() {
    let scene = Scene::new().await;
    let mut header = scene.header("of tomorrow");
    header.time = Hlc::start_of(Millis(scene.node.clock.now().0 + 40_000));
    let ahead = Record::sign(header, &key(NUMBER));
    scene.check_waits(sent(path("app/db"), &ahead, None)).await;
    let running = scene.node.running();
    assert_eq!(running.vault.observe().unwrap().held_back, 1);
    running.records.intake().look_again().await.unwrap();
    assert_eq!(scene.held().1.len(), 1, "its time has not come");
    scene.node.clock.advance(10_000);
    running.records.intake().look_again().await.unwrap();
    assert_eq!(scene.held().1.len(), 2);
    assert_eq!(running.vault.observe().unwrap().held_back, 0);
    // What is written here next comes after it, though this node's clock is behind.
    scene.node.label("app/db", "later", "1").await;
    let later = scene.held().0.labels.into_values().next().unwrap();
    assert!(ahead.header().time < later.0.0);
    scene.node.check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_nobody_or_of_no_agreed_name_or_without_its_payload_waits_and_is_let_go_of() {
    let scene = Scene::new().await;
    let stranger = Header { author: id(8), ..scene.header("of nobody") };
    let stranger = Record::sign(stranger, &key(8));
    scene.check_waits(sent(path("app/db"), &stranger, None)).await;
    let nameless =
        Header { secret: path("app/none").id(), parents: Vec::new(), depth: 1, ..scene.header("nowhere") };
    let nameless = Record::sign(nameless, &key(NUMBER));
    scene.check_waits(sent(path("app/none"), &nameless, None)).await;
    let empty = version(scene.header("x"), b"sealed");
    scene.check_waits(sent(path("app/db"), &empty, None)).await;
    let before = scene.held();
    for _ in 0..130 {
        scene.node.running().records.intake().look_again().await.unwrap();
    }
    assert_eq!(scene.held(), before);
    assert_eq!(scene.node.says("app/none"), None);
    assert_eq!((scene.count(Fault::UnknownAuthor), scene.count(Fault::Early)), (1, 2));
    scene.node.check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_gets_no_number_by_coming_from_a_peer() {
    let scene = Scene::new().await;
    let unnumbered = version(scene.header("x"), b"sealed");
    assert!(scene.push(sent(path("app/db"), &unnumbered, Some(b"sealed"))).await.is_ok());
    let (place, row) = scene.held().0.current.unwrap();
    assert_eq!((place.id, row.number), (unnumbered.id(), None));
    scene.node.check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destroyed_payload_does_not_come_back_with_its_record() {
    let scene = Scene::new().await;
    let (view, records, _) = scene.held();
    let hash = view.current.unwrap().1.payload;
    let payload = {
        let view = scene.node.running().store.view().unwrap();
        view.rows().payload(&path("app/db"), &hash).unwrap().unwrap().to_vec()
    };
    scene.node.running().vault.destroy(&ann(), &path("app/db"), vec![Which::Current], None).await.unwrap();
    scene.check_waits(sent(path("app/db"), &records[0], Some(&payload))).await;
    assert_eq!(scene.count(Fault::Destroyed), 1);
    let view = scene.node.running().store.view().unwrap();
    assert_eq!(view.rows().payload(&path("app/db"), &hash).unwrap(), None);
    drop(view);
    scene.node.check_views();
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_frames_of_every_kind_end_the_connection() {
    let scene = Scene::new().await;
    let (whole, before) = (write(&Ask::Push(Vec::new())), scene.held());
    let record = sent(path("app/db"), &scene.marks(), None);
    let frames = [
        Vec::new(),
        b"\xff\xff\xff\xff".to_vec(),
        whole[..whole.len() - 1].to_vec(),
        [whole.as_slice(), &[0]].concat(),
        encode(&(2u8, Ask::Push(Vec::new()))),
        encode(&(1u8, Told::Taken)),
        write(&Ask::Push(vec![record; 257])),
        write(&Ask::Search(true, ByteBuf::from(vec![0x61; (256 << 10) + 1]))),
        write(&Ask::Search(true, ByteBuf::from(vec![0x61, 0, 0, 9]))),
        write(&Ask::Named(path("app/db"), vec![scene.marks().id(); 65])),
    ];
    for (at, frame) in frames.into_iter().enumerate() {
        let answer = scene.ask(frame).await;
        assert_eq!(answer, Err(CallError::Lost(Loss::GivenUp(Reason::MalformedFrame))), "frame {at}");
        assert_eq!(scene.count(Fault::Malformed), at as u64 + 1, "frame {at}");
    }
    assert_eq!(scene.held(), before);
}
