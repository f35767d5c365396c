//! The person who runs the cluster: founds it, lets nodes in, makes the callers, has a node that was lost, or that is to go,
//! taken away, and another join in its place. It has patience. Knows nothing of secrets.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use covault_net::NodeIdentity;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    chance::Chance,
    client::{self, Call},
    desk::{Desk, Office, text},
    machine::Machine,
    story::What,
};

const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often it is looked who votes.
const VOTES_EVERY: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(6);
/// How long a node may take to be taken in before it is invited again.
const TAKEN_IN_WITHIN: Duration = Duration::from_secs(15);

/// Makes the cluster whole and has the clients, one for each token, work; then replaces what is lost until the office
/// closes.
pub async fn run(office: Arc<Office>, machines: Vec<Machine>, hire: impl Fn(Vec<Desk>)) {
    let admin = loop {
        match machines[0].admin() {
            Some(admin) => break admin,
            None => sleep(LOOK_EVERY).await,
        }
    };
    let operator = Operator { admin, machines };
    for machine in &operator.machines[1..] {
        operator.take_in(machine).await;
    }
    operator.until_all_vote().await;
    let desks = operator.desks(&office).await;
    operator.leave_a_key_about(&office);
    office.whole.store(true, Ordering::Relaxed);
    office.journal.note(What::Whole);
    hire(desks);
    while office.is_open() {
        for machine in &operator.machines {
            if let Some(lost) = machine.take_lost() {
                operator.take_away(&office, machine, lost).await;
                operator.fill(&office, machine).await;
            }
            if let Some(leaving) = machine.take_leaving() {
                operator.take_away(&office, machine, leaving).await;
                machine.let_go();
            }
            if machine.take_vacant() {
                operator.fill(&office, machine).await;
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

struct Operator {
    admin: String,
    machines: Vec<Machine>,
}

impl Operator {
    async fn ask(&self, call: &Call, settled: &[&str]) -> Value {
        self.ask_from(0, call, settled).await
    }

    /// Asks nodes in turn, this one first, until one answers with success or with one of these codes.
    async fn ask_from(&self, first: usize, call: &Call, settled: &[&str]) -> Value {
        for at in first.. {
            let machine = &self.machines[at % self.machines.len()];
            let told = client::ask(&machine.name(), &self.admin, call, PATIENCE).await;
            if told.is_done() || told.code().is_some_and(|code| settled.contains(&code)) {
                return told.body().clone();
            }
            sleep(LOOK_EVERY).await;
        }
        Value::Null
    }

    /// Invites a machine's node until it serves. One that is a member already needs the token that let it in.
    async fn take_in(&self, machine: &Machine) {
        while !machine.serves() {
            if !self.is_member(machine).await {
                let invitation = self.ask(&Call::new("POST", "/v1/invitations"), &[]).await;
                machine.invite(text(&invitation, "/token").unwrap_or_default().to_owned());
            }
            let mut waited = Duration::ZERO;
            while !machine.serves() && waited < TAKEN_IN_WITHIN {
                sleep(LOOK_EVERY).await;
                waited += LOOK_EVERY;
            }
        }
    }

    /// Whether the members have the node whose key the machine holds.
    async fn is_member(&self, machine: &Machine) -> bool {
        let Ok(identity) = NodeIdentity::load(machine.data()) else { return false };
        let (node, members) = (identity.id().to_string(), self.members(0).await);
        members.iter().any(|member| member["node"].as_str() == Some(&node))
    }

    /// The members as one node sees them, this one if it answers. It may see what was.
    async fn members(&self, first: usize) -> Vec<Value> {
        let mut told = self.ask_from(first, &Call::new("GET", "/v1/members"), &[]).await;
        match told["members"].take() {
            Value::Array(members) => members,
            _ => Vec::new(),
        }
    }

    /// Through the node itself in every other run, through another first else.
    async fn take_away(&self, office: &Office, machine: &Machine, id: String) {
        let first = machine.place() + (office.plan.seed % 2) as usize;
        self.ask_from(first, &Call::new("DELETE", format!("/v1/members/{id}")), &["not_found"]).await;
        office.journal.note(What::Removed { node: machine.place(), id });
    }

    /// Has a new node join where there is none.
    async fn fill(&self, office: &Office, machine: &Machine) {
        self.take_in(machine).await;
        self.until_all_vote().await;
        office.replacing.store(false, Ordering::Relaxed);
    }

    /// Waits until every node votes. Asks one after the other: a node that is cut off goes on saying what was.
    async fn until_all_vote(&self) {
        for first in 0.. {
            let nodes = self.machines.iter().filter_map(Machine::node).collect();
            if all_vote(&self.members(first).await, &nodes) {
                return;
            }
            sleep(VOTES_EVERY).await;
        }
    }

    /// Has the key of one node copied by whoever comes past.
    fn leave_a_key_about(&self, office: &Office) {
        let place = Chance::of(office.plan.seed, "stolen key").below(self.machines.len() as u64) as usize;
        if let Ok(identity) = NodeIdentity::load(self.machines[place].data()) {
            let _ = office.stolen.set(identity.into_key());
            office.journal.note(What::Robbed { node: place });
        }
    }

    /// The clients, each with the token of its caller.
    async fn desks(&self, office: &Arc<Office>) -> Vec<Desk> {
        let mut tokens = Vec::new();
        for caller in (0..office.plan.callers).map(|caller| format!("caller{caller}")) {
            let made = self.ask(&Call::new("POST", "/v1/callers").with(json!({ "name": caller })), &[]).await;
            tokens.push((caller, text(&made, "/token").unwrap_or_default().to_owned()));
        }
        let desk = |client: usize| {
            let (caller, token) = tokens[client % tokens.len()].clone();
            Desk::new(office.clone(), client, caller, token)
        };
        (0..office.plan.clients).map(desk).collect()
    }
}

/// Whether these nodes vote, and no other does, such as one that was lost.
fn all_vote(members: &[Value], nodes: &BTreeSet<String>) -> bool {
    let votes = |member: &&Value| matches!(member["role"].as_str(), Some("leader" | "follower"));
    let voters = members.iter().filter(votes).filter_map(|member| text(member, "/node"));
    voters.map(str::to_owned).collect::<BTreeSet<_>>() == *nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_from_before_a_node_was_replaced_does_not_say_that_all_vote() {
        let list = |roles: &[(&str, &str)]| -> Vec<Value> {
            roles.iter().map(|(node, role)| json!({ "node": node, "role": role })).collect()
        };
        let nodes = ["a", "b", "new"].map(str::to_owned).into();
        let before = list(&[("a", "leader"), ("b", "follower"), ("lost", "follower")]);
        let joining = list(&[("a", "leader"), ("b", "follower"), ("new", "learner")]);
        let after = list(&[("a", "leader"), ("b", "follower"), ("new", "follower")]);
        assert_eq!([before, joining, after].map(|list| all_vote(&list, &nodes)), [false, false, true]);
    }
}
