//! A member of a cluster that keeps to no rule: it has joined as any node does, and speaks for itself from then on,
//! through the door that nodes use and through bare connections. Its messages are written as docs/records.md says,
//! not with the node's own code.

use std::{fs, net::UdpSocket, path::Path, sync::Arc, time::Duration};

use covault_model::{
    decode, encode,
    id::{ClusterId, NodeId},
    key::NodeKey,
    name::SecretPath,
    roster::NodeAddress,
};
use covault_net::{
    CallError, Channel, Doors, Endpoint, Limits, NodeIdentity, Peer, Reason, Role, Setup, Socket, Trust,
    hello::{HELLO_LEN, Hello},
    tls,
};
use quinn::{Connection, ConnectionError, TransportConfig, crypto::rustls::QuicClientConfig};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use tokio::{runtime::Runtime, time::timeout};

use super::{Chance, PATIENCE};

/// A record on its way: path, bytes, payload.
#[derive(Serialize, Deserialize)]
pub struct Sent(pub SecretPath, pub ByteBuf, pub Option<ByteBuf>);

/// What a member asks on the channel Records.
#[derive(Serialize)]
pub enum Ask {
    /// Take these in.
    Push(Vec<Sent>),
    /// What there is of these secrets.
    Lacking(Vec<Known>),
}

/// A secret of which nothing is known, when the lists are empty.
#[derive(Serialize)]
pub struct Known {
    pub path: SecretPath,
    pub has: Vec<ByteBuf>,
    pub awaits: Vec<ByteBuf>,
}

#[derive(Deserialize)]
enum Told {
    /// Records, and whether there are more.
    Records(Vec<Sent>, #[expect(dead_code, reason = "it is read to get past it")] bool),
}

/// The bytes of a message of the channel Records.
pub fn message(ask: &Ask) -> Vec<u8> {
    encode(&(1u8, ask))
}

/// The member.
pub struct Intruder {
    /// Its key, which is enrolled.
    pub key: NodeKey,
    /// The node that it besets, and where that listens.
    pub victim: (NodeId, NodeAddress),
    /// Their cluster.
    pub cluster: ClusterId,
    endpoint: Endpoint,
    runtime: Runtime,
}

#[derive(Deserialize)]
struct Joined {
    cluster: String,
    members: Vec<(String, NodeAddress)>,
}

impl Intruder {
    /// The node that has joined in `data` and was never started; `victim` is who took it in.
    pub fn of(data: &Path, victim: &str) -> Self {
        let joined: Joined = serde_json::from_slice(&fs::read(data.join("joining.json")).unwrap()).unwrap();
        let cluster = ClusterId::parse(&joined.cluster).unwrap();
        let of_victim = joined.members.into_iter().find(|(node, _)| node == victim);
        let victim = (NodeId::parse(victim).unwrap(), of_victim.unwrap().1);
        let key = NodeIdentity::load(data).unwrap().into_key();
        let runtime = Runtime::new().unwrap();
        let endpoint = runtime.block_on(async { endpoint_of(&key, victim, cluster) });
        Self { key, victim, cluster, endpoint, runtime }
    }

    /// Asks the victim as a member of its cluster does.
    pub fn ask(&self, channel: Channel, bytes: Vec<u8>) -> Result<Vec<u8>, CallError> {
        let asked = self.endpoint.call(self.victim.0, channel, bytes.into(), PATIENCE);
        self.runtime.block_on(asked).map(|answer| answer.to_vec())
    }

    /// Asks as a member of another cluster.
    pub fn ask_from(&self, cluster: ClusterId, channel: Channel) -> Result<Vec<u8>, CallError> {
        self.runtime.block_on(async {
            let endpoint = endpoint_of(&self.key, self.victim, cluster);
            let asked = endpoint.call(self.victim.0, channel, Vec::new().into(), PATIENCE).await;
            asked.map(|answer| answer.to_vec())
        })
    }

    /// All records of a secret, as the victim gives them to any member.
    pub fn records(&self, path: &SecretPath) -> Vec<Sent> {
        let known = Known { path: path.clone(), has: Vec::new(), awaits: Vec::new() };
        let told = self.ask(Channel::Records, message(&Ask::Lacking(vec![known]))).unwrap();
        let (_, Told::Records(records, _)): (u8, Told) = decode(&told).unwrap();
        records
    }

    /// Runs what a test does with bare connections.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// A connection with this key on which nothing was said yet.
    pub async fn dial(
        &self,
        key: &NodeKey,
        transport: TransportConfig,
    ) -> Result<Connection, ConnectionError> {
        let config = tls::client_config(key, self.victim.0, &tls::default_provider()).unwrap();
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        config.transport_config(Arc::new(transport));
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = self.victim.1.0;
        endpoint.connect_with(config, address, tls::SERVER_NAME).unwrap().await
    }

    /// A connection on which the intruder was let in as the member it is.
    pub async fn enter(&self, transport: TransportConfig) -> Connection {
        let connection = self.dial(&self.key, transport).await.unwrap();
        let answer = send(&connection, &Hello::Peer(self.cluster).to_bytes()).await;
        assert_eq!(answer.map(|answer| answer.len()), Some(HELLO_LEN), "it is a member");
        connection
    }
}

fn endpoint_of(key: &NodeKey, victim: (NodeId, NodeAddress), cluster: ClusterId) -> Endpoint {
    let trust = Trust::new([(victim.0, Peer { addr: Some(victim.1.0), role: Role::Vault })].into());
    let mut chance = Chance::of(1);
    let draw = move |bytes: &mut [u8]| bytes.copy_from_slice(&chance.bytes(bytes.len()));
    let limits = Limits {
        rest_min: Duration::from_millis(1),
        rest_max: Duration::from_millis(20),
        ..Limits::default()
    };
    let setup = Setup { cluster: Some(cluster), limits, chance: Box::new(draw), doors: Doors::Open };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    Endpoint::start(key, Socket::real(socket).unwrap(), trust, setup).unwrap().0
}

/// Sends these bytes as all of a stream; what comes back, or none if the victim closes the stream or more.
pub async fn send(connection: &Connection, bytes: &[u8]) -> Option<Vec<u8>> {
    let exchange = async {
        let (mut send, mut recv) = connection.open_bi().await.ok()?;
        send.write_all(bytes).await.ok()?;
        send.finish().ok()?;
        recv.read_to_end(16 << 20).await.ok()
    };
    timeout(PATIENCE, exchange).await.expect("the node answers or refuses")
}

/// Why the victim closes the connection.
pub async fn closed(connection: &Connection) -> Reason {
    match timeout(PATIENCE, connection.closed()).await.expect("the node closes it") {
        ConnectionError::ApplicationClosed(close) => {
            Reason::from_code(close.error_code.into_inner()).unwrap()
        }
        other => panic!("ended otherwise: {other:?}"),
    }
}
