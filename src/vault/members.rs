//! Members, and the API processes beside them: who they are, for admins; invitations; who is taken in and taken
//! away. The registry is the truth, and Raft's membership follows it: what a crash leaves undone of a removal the
//! leader's upkeep does, and a node whose enrolment was cut off asks again. Keeps M1: an invitation's secret is
//! drawn here, shown once and kept nowhere; and T7 of those that are taken away. Knows nothing of how a node asks.

use covault_model::{
    command::{Action as CommandAction, Command},
    hlc::Millis,
    id::{CommandId, InvitationHash, InvitationId, NodeId},
    invitation::{INVITATION_SECRET_LEN, JoinToken},
    name::CallerName,
    plan::decide,
    refusal::{NoAuthority, NodeFault, Refusal},
    registry::{Outcome, Registry},
    roster::{ApiEnrolment, Enrolment, Invitation, NodeAddress, Roster},
};
use covault_seal::Plaintext;
use zeroize::Zeroizing;

use super::{
    Asker, Changed, IdempotencyKey, Invitee, MemberRole, MemberStatus, NewInvitation, Vault, audited::About,
    digest::idempotency_of_removal, storage_refusal,
};
use crate::{
    audit::{Action, Subject},
    consensus::Standing,
};

/// Bytes that a command about members may take.
const COMMAND_BYTES: usize = 1024;

impl Vault {
    /// Makes an invitation of a node, or of an API process, that is good for so many seconds.
    pub async fn invite(
        &self,
        asker: &Asker,
        invitee: Invitee,
        seconds: u64,
        key: Option<IdempotencyKey>,
    ) -> Result<NewInvitation, Refusal> {
        let about = About::subject(Action::MemberInvite, Subject::Nothing);
        let invite = async {
            asker.session.require_admin()?;
            let by = &asker.session.caller;
            let request = match invitee {
                Invitee::Node => ("member.invite", seconds),
                Invitee::Api => ("api.invite", seconds),
            };
            let idempotency = self.idempotency(by, key.as_ref(), &request, None)?;
            let (token, invitation) = self.draw_invitation(by, seconds)?;
            let action = match invitee {
                Invitee::Node => CommandAction::Invite(token.id, invitation.clone()),
                Invitee::Api => CommandAction::InviteApi(token.id, invitation.clone()),
            };
            let command = self.command(&asker.session, idempotency, action)?;
            let applied = self.agree(command, 0, None).await?;
            let Ok(Outcome::Invited(id)) = applied.outcome else { return Err(NodeFault::Corrupt.into()) };
            // As for a caller's token.
            let replayed = id != token.id;
            let text = (!replayed).then(|| Plaintext::new(token.text().as_bytes().to_vec()));
            let expires_at = self.expiry_of(&id)?.unwrap_or(invitation.expires_at);
            Ok(NewInvitation { id, text, expires_at, replayed })
        };
        self.audited(asker, about, |_| None, invite).await
    }

    fn draw_invitation(&self, by: &CallerName, seconds: u64) -> Result<(JoinToken, Invitation), Refusal> {
        let address = self.parts.address.ok_or(NodeFault::PeersNotConfigured)?;
        let (mut id, mut secret) = (InvitationId::default(), Zeroizing::new([0; INVITATION_SECRET_LEN]));
        self.parts.host.fill(&mut id.0);
        self.parts.host.fill(&mut *secret);
        let created_at = self.now();
        let expires_at = Millis(created_at.0 + 1000 * seconds);
        let hash = InvitationHash::of(&*secret);
        let invitation = Invitation { hash, by: by.clone(), created_at, expires_at };
        let token = JoinToken { cluster: self.parts.cluster, node: self.node(), address, id, secret };
        Ok((token, invitation))
    }

    fn expiry_of(&self, id: &InvitationId) -> Result<Option<Millis>, Refusal> {
        let roster = self.roster()?;
        let held = roster.invitations.get(id).or_else(|| roster.api_invitations.get(id));
        Ok(held.map(|held| held.expires_at))
    }

    /// All members, as this node sees them.
    pub async fn members(&self, asker: &Asker) -> Result<Vec<MemberStatus>, Refusal> {
        let about = About::subject(Action::MemberList, Subject::Nothing);
        let list = async {
            asker.session.require_admin()?;
            self.member_list(&self.parts.consensus.standing())
        };
        self.audited(asker, about, |_| None, list).await
    }

    /// Takes a node, or an API process, away for good. Once it is agreed it counts; that the others close their
    /// connections follows at once, or when they next look; of this node itself, when the leader next looks.
    pub async fn remove_member(
        &self,
        asker: &Asker,
        node: NodeId,
        key: Option<IdempotencyKey>,
    ) -> Result<Changed<()>, Refusal> {
        let about = About::subject(Action::MemberRemove, Subject::Node(node));
        let remove = async {
            asker.session.require_admin()?;
            let by = &asker.session.caller;
            let idempotency = idempotency_of_removal(by, key.as_ref(), &("member.remove", node));
            let is_repeated = match &idempotency {
                Some(idempotency) => self.is_agreed(by, idempotency.key())?,
                None => false,
            };
            if !is_repeated {
                self.require_turnover(node).await?;
            }
            let removed = self.agree_removal(asker, idempotency, CommandAction::RemoveNode(node)).await?;
            // Nobody would answer this node any more once it is let go of: that is left to the leader's upkeep.
            let expels = node != self.node() && self.roster()?.nodes.contains_key(&node);
            if expels && let Err(refusal) = self.parts.consensus.expel(node).await {
                tracing::info!(peer = %node, code = refusal.code(), "a removed node is still to be let go of");
            }
            Ok(removed)
        };
        self.audited(asker, about, |_| None, remove).await
    }

    /// Refuses while the members could not do without this one's vote, and while another one that was taken away votes
    /// still: of the two that go then nobody could tell.
    async fn require_turnover(&self, leaving: NodeId) -> Result<(), Refusal> {
        let _ = self.parts.consensus.confirms_soon().await;
        let voters = self.voters();
        let mut next = voters.clone();
        if !next.remove(&leaving) {
            return Ok(());
        }
        let roster = self.roster()?;
        let is_settled = !next.iter().any(|voter| roster.is_removed(voter));
        if is_settled && self.parts.records.may_vote_next(&voters, &next).await {
            return Ok(());
        }
        tracing::warn!(peer = %leaving, "a node is not taken away while others lack what it may have, or one that was taken away votes still");
        Err(NoAuthority::QuorumUnavailable.into())
    }

    /// Takes a node in that shows an invitation, and says which nodes there are. Asking again with the same
    /// invitation does what asking once does.
    pub async fn enrol(&self, shown: Enrolment) -> Result<Vec<(NodeId, NodeAddress)>, Refusal> {
        let about = About::subject(Action::MemberJoin, Subject::Node(shown.node));
        self.audited_of_node(about, self.take_in(shown)).await
    }

    /// As [`Vault::enrol`], for an API process, which takes part in nothing.
    pub async fn enrol_api(&self, shown: ApiEnrolment) -> Result<Vec<(NodeId, NodeAddress)>, Refusal> {
        let about = About::subject(Action::MemberJoin, Subject::Node(shown.api));
        let let_in = async {
            self.agree_for_stranger(CommandAction::EnrolApi(shown)).await?;
            self.reachable()
        };
        self.audited_of_node(about, let_in).await
    }

    async fn take_in(&self, shown: Enrolment) -> Result<Vec<(NodeId, NodeAddress)>, Refusal> {
        let (node, address) = (shown.node, shown.address);
        self.agree_for_stranger(CommandAction::Enrol(shown)).await?;
        self.parts.consensus.admit(node, &address.to_string()).await?;
        self.reachable()
    }

    async fn agree_for_stranger(&self, action: CommandAction) -> Result<(), Refusal> {
        let mut id = CommandId::default();
        self.parts.host.fill(&mut id.0);
        let by = self.parts.own_name.clone();
        let command = Command { id, by, at: self.time_to_stamp()?, idempotency: None, action };
        // Decided here first: whoever knows no invitation gets nothing into the log.
        decide(&self.look()?.rows(), &command).map_err(storage_refusal)??;
        self.parts.consensus.propose(command, COMMAND_BYTES).await?.outcome.map(drop)
    }

    /// The members with their addresses, this node among them: for nodes.
    pub fn reachable(&self) -> Result<Vec<(NodeId, NodeAddress)>, Refusal> {
        let roster = self.roster()?;
        let standing = self.parts.consensus.standing();
        let address = |node: &NodeId| match roster.nodes.get(node) {
            _ if *node == self.node() => self.parts.address,
            entry => entry.map(|entry| entry.address),
        };
        Ok(standing.members.iter().filter_map(|one| Some((one.node, address(&one.node)?))).collect())
    }

    /// Every member of Raft, every node that was taken in and is not one yet, and every API process.
    pub(super) fn member_list(&self, standing: &Standing) -> Result<Vec<MemberStatus>, Refusal> {
        let roster = self.roster()?;
        let of_raft = standing.members.iter().map(|member| {
            let role = match member.voter {
                _ if standing.leader == Some(member.node) => MemberRole::Leader,
                true => MemberRole::Follower,
                false => MemberRole::Learner,
            };
            (member.node, role)
        });
        let mut all: Vec<(NodeId, MemberRole)> = of_raft.collect();
        let waits = |node: &NodeId| roster.is_member(node) && all.iter().all(|(known, _)| known != node);
        let waiting: Vec<_> = roster.nodes.keys().copied().filter(waits).collect();
        all.extend(waiting.into_iter().map(|node| (node, MemberRole::Enrolled)));
        let apis = roster.apis.keys().copied().filter(|api| roster.is_api(api));
        all.extend(apis.map(|api| (api, MemberRole::Api)));
        let clocks = self.parts.clocks.ahead(self.now());
        let status = |(node, role)| MemberStatus {
            clock_ahead: clocks.get(&node).copied(),
            ..member_status(node, role, &roster, standing)
        };
        Ok(all.into_iter().map(status).collect())
    }

    fn roster(&self) -> Result<Roster, Refusal> {
        self.look()?.rows().roster().map_err(storage_refusal)
    }
}

fn member_status(node: NodeId, role: MemberRole, roster: &Roster, standing: &Standing) -> MemberStatus {
    let matched = standing.matched.get(&node);
    MemberStatus {
        node,
        role,
        address: roster.nodes.get(&node).map(|entry| entry.address),
        lag: matched.map(|index| standing.last_log.saturating_sub(index.unwrap_or_default())),
        heard: standing.heard.get(&node).copied(),
        clock_ahead: None,
    }
}
