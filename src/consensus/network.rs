//! Raft's way to other nodes. This release has clusters of one voter, which calls nobody.

use std::future::Future;

use covault_model::id::NodeId;
use openraft::{
    BasicNode, OptionalSend, Snapshot, Vote,
    error::{Fatal, RPCError, RaftError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetwork, RaftNetworkFactory},
    raft::{AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse},
};

use super::types::Types;

/// Reaches no other node.
#[derive(Clone, Copy)]
pub struct NoPeers;

type CallError = RPCError<NodeId, BasicNode, RaftError<NodeId>>;

fn unreachable() -> Unreachable {
    Unreachable::new(&std::io::Error::from(std::io::ErrorKind::NotConnected))
}

impl RaftNetworkFactory<Types> for NoPeers {
    type Network = Self;

    async fn new_client(&mut self, _: NodeId, _: &BasicNode) -> Self {
        *self
    }
}

impl RaftNetwork<Types> for NoPeers {
    async fn append_entries(
        &mut self,
        _: AppendEntriesRequest<Types>,
        _: RPCOption,
    ) -> Result<AppendEntriesResponse<NodeId>, CallError> {
        Err(unreachable().into())
    }

    async fn vote(
        &mut self,
        _: VoteRequest<NodeId>,
        _: RPCOption,
    ) -> Result<VoteResponse<NodeId>, CallError> {
        Err(unreachable().into())
    }

    async fn full_snapshot(
        &mut self,
        _: Vote<NodeId>,
        _: Snapshot<Types>,
        _: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _: RPCOption,
    ) -> Result<SnapshotResponse<NodeId>, StreamingError<Types, Fatal<NodeId>>> {
        Err(unreachable().into())
    }
}
