//! A connection that came in: judged first, then served. Until its hello has been answered it has room for that
//! and nothing else; a key that is not enrolled is let in as a stranger, for one request to join.
//! Knows nothing of what the requests mean.

use std::{future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use covault_model::id::NodeId;
use quinn::Connection;
use tokio::time::{Instant, timeout};

use crate::{
    frame::{AnswerHead, Channel, HEAD_LEN, REFUSAL_LEN, RequestHead, Status},
    hello::Hello,
    inbox::{Answer, Asker, Incoming, Reply},
    lane::{Room, try_take},
    link::read_hello,
    neighbour::Neighbour,
    reason::Reason,
    shared::Shared,
    stream::{Exchange, Fault},
    tls::peer_of,
};

/// What a connection was judged to be.
enum Judged {
    Peer(Arc<Neighbour>),
    Stranger(Room),
}

/// Takes a connection that somebody wants to open. `slot` is held until it has been judged.
pub(crate) async fn receive(shared: Arc<Shared>, incoming: quinn::Incoming, slot: Room) {
    let addr = incoming.remote_address();
    let proved = async { incoming.accept()?.await };
    let connection = match timeout(shared.limits.handshake_deadline, proved).await {
        Ok(Ok(connection)) => connection,
        failed => {
            shared.refusals.count(Reason::Handshake);
            let why = failed.map_or_else(|_| "silence".to_owned(), |failed| format!("{:?}", failed.err()));
            if let Some(left_out) = shared.lines.take(Instant::now()) {
                tracing::info!(%addr, why, left_out, "a handshake failed");
            }
            return;
        }
    };
    let Some(node) = peer_of(&connection) else {
        return shared.refuse(&connection, None, Reason::Handshake);
    };
    let judged = within(shared.limits.handshake_deadline, judge(&shared, &connection, node)).await;
    drop(slot);
    let ended = match judged {
        Ok(Judged::Peer(neighbour)) => return serve_peer(&shared, &neighbour, &connection).await,
        Ok(Judged::Stranger(_room)) => {
            let served = serve_stranger(&shared, node, &connection);
            within(shared.limits.stranger_deadline, served).await
        }
        Err(fault) => Err(fault),
    };
    match ended {
        Ok(()) => connection.close(Reason::Served.on_wire(), &[]),
        Err(Fault::Violation(reason) | Fault::GiveUp(reason)) => {
            shared.refuse(&connection, Some(node), reason);
        }
        Err(Fault::Connection | Fault::GivenUp(_)) => connection.close(Reason::Abandoned.on_wire(), &[]),
    }
}

/// Hears the hello, looks the key up, and answers. The answer is what tells the other side that it is in.
async fn judge(shared: &Shared, connection: &Connection, node: NodeId) -> Result<Judged, Fault> {
    let as_stranger = || try_take(&shared.strangers, 1).ok_or(Fault::Violation(Reason::TooManyStrangers));
    // Before its hello: a crowd of strangers must not fill the place where peers are judged.
    let stranger = if shared.trust.contains(&node) { None } else { Some(as_stranger()?) };
    let mut exchange = Exchange::new(connection.accept_bi().await.map_err(|_| Fault::Connection)?);
    let hello = read_hello(&mut exchange).await?;
    let judged = match (hello, stranger) {
        (Hello::Stranger, Some(room)) => Judged::Stranger(room),
        (Hello::Stranger, None) => Judged::Stranger(as_stranger()?),
        (Hello::Peer(_), Some(_)) => return Err(Fault::Violation(Reason::UnknownKey)),
        (Hello::Peer(cluster), None) if shared.cluster == Some(cluster) => {
            Judged::Peer(admit(shared, connection, node)?)
        }
        (Hello::Peer(_), None) => return Err(Fault::Violation(Reason::WrongCluster)),
    };
    exchange.write(&hello.to_bytes(), Bytes::new()).await?;
    Ok(judged)
}

/// Makes the connection that of an enrolled peer: looks its key up again, and widens what it may do.
fn admit(shared: &Shared, connection: &Connection, node: NodeId) -> Result<Arc<Neighbour>, Fault> {
    let neighbour = shared.neighbour(node).ok_or(Fault::Violation(Reason::UnknownKey))?;
    if let Some(old) = neighbour.came(connection) {
        shared.refuse(&old, Some(node), Reason::Superseded);
    }
    // The set may have been replaced between the look-up and the line above; from that line on, whoever follows
    // the set finds this connection.
    if !shared.trust.contains(&node) {
        return Err(Fault::Violation(Reason::Removed));
    }
    shared.limits.widen(connection);
    neighbour.traffic.came(0);
    neighbour.link.wake();
    Ok(neighbour)
}

async fn serve_peer(shared: &Arc<Shared>, neighbour: &Arc<Neighbour>, connection: &Connection) {
    while let Ok(streams) = connection.accept_bi().await {
        let (shared, neighbour, connection) = (shared.clone(), neighbour.clone(), connection.clone());
        // As many tasks as streams, which are bounded: a stream is open until both its halves have ended.
        tokio::spawn(async move {
            let mut exchange = Exchange::new(streams);
            match serve_request(&shared, &neighbour, &mut exchange).await {
                Ok(()) | Err(Fault::Connection | Fault::GivenUp(_)) => {}
                Err(Fault::Violation(reason)) => {
                    shared.refuse(&connection, Some(neighbour.node), reason);
                }
                Err(Fault::GiveUp(reason)) => {
                    exchange.give_up(reason);
                    shared.refusals.count(reason);
                    tracing::info!(peer = %neighbour.node, reason = reason.name(), "a request was given up");
                }
            }
        });
    }
    neighbour.left(connection);
}

/// One request of a peer, from its first byte until its answer has been taken.
async fn serve_request(shared: &Shared, neighbour: &Neighbour, exchange: &mut Exchange) -> Result<(), Fault> {
    let deadline = shared.limits.frame_deadline;
    let RequestHead { channel, length } = within(deadline, read_request_head(exchange)).await?;
    let peer = shared.trust.peer(&neighbour.node).ok_or(Fault::Violation(Reason::Removed))?;
    if !peer.role.may_use(channel) {
        return Err(Fault::Violation(Reason::ForbiddenChannel));
    }
    let (own, all) = (neighbour.asks.of(channel), shared.asks.of(channel));
    // Own room first, then the shared one, requests before bytes: always this order, so nobody waits in a ring.
    let mut rooms = vec![own.enter().await, all.enter().await];
    rooms.extend([own.hold(length).await, all.hold(length).await]);
    let request = within(deadline, exchange.read_body(length)).await?;
    neighbour.traffic.came(HEAD_LEN + length);
    if !shared.trust.contains(&neighbour.node) {
        return Err(Fault::Violation(Reason::Removed));
    }
    let (reply, answered) = Reply::new(rooms);
    let from = Asker::Peer(neighbour.node);
    shared.deliver(Incoming { from, channel, request, reply }).await?;
    let answering = answered.await.map_err(|_| Fault::GiveUp(Reason::Unanswered))?;
    let (head, body) = encode(answering.answer, channel)?;
    let kept = try_take(&neighbour.answers, body.len() as u32).ok_or(Fault::GiveUp(Reason::Busy))?;
    let sent = HEAD_LEN + body.len();
    within(deadline, exchange.write(&head, body)).await?;
    neighbour.traffic.went(sent);
    drop((answering.rooms, kept));
    if let Some(_waiting) = answering.taken {
        // It need not be known whether it was: the peer asks again if not.
        let _ = timeout(deadline, exchange.taken()).await;
    }
    Ok(())
}

/// A stranger's only request.
async fn serve_stranger(shared: &Shared, node: NodeId, connection: &Connection) -> Result<(), Fault> {
    let mut exchange = Exchange::new(connection.accept_bi().await.map_err(|_| Fault::Connection)?);
    let RequestHead { channel, length } = read_request_head(&mut exchange).await?;
    if channel != Channel::Join {
        return Err(Fault::Violation(Reason::ForbiddenChannel));
    }
    let request = exchange.read_body(length).await?;
    let (reply, answered) = Reply::new(Vec::new());
    shared.deliver(Incoming { from: Asker::Stranger(node), channel, request, reply }).await?;
    let answering = answered.await.map_err(|_| Fault::GiveUp(Reason::Unanswered))?;
    let (head, body) = encode(answering.answer, channel)?;
    exchange.write(&head, body).await?;
    exchange.taken().await;
    Ok(())
}

async fn read_request_head(exchange: &mut Exchange) -> Result<RequestHead, Fault> {
    let head = exchange.read_head().await?;
    RequestHead::from_bytes(&head).map_err(|error| Fault::Violation(error.into()))
}

/// The bytes of an answer. One that is larger than its channel allows is this node's own mistake, and is not
/// sent.
fn encode(answer: Answer, channel: Channel) -> Result<([u8; HEAD_LEN], Bytes), Fault> {
    let (status, body) = match answer {
        Answer::Sent(body) => (Status::Answered, body),
        Answer::Refused(code) => {
            let code: [u8; REFUSAL_LEN] = code.to_be_bytes();
            (Status::Refused, Bytes::copy_from_slice(&code))
        }
    };
    let head = AnswerHead { status, length: body.len() }.to_bytes(channel);
    if head.is_none() {
        tracing::error!(%channel, bytes = body.len(), "an answer is larger than its channel allows");
    }
    Ok((head.ok_or(Fault::GiveUp(Reason::Unanswered))?, body))
}

async fn within<T>(deadline: Duration, step: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    timeout(deadline, step).await.unwrap_or(Err(Fault::GiveUp(Reason::Slow)))
}
