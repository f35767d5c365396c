//! Stories made by hand, for the tests of the checkers: requests and answers one after the other, a millisecond apart, and
//! what the nodes kept.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    fault::Fault,
    plan::Plan,
    story::{Ask, Asked, Event, Kept, KeptSecret, KeptVersion, Story, Told, What},
};

/// A story as it is made.
pub struct Tale(pub Story);

impl Tale {
    /// A story of this many nodes, in which nothing happened.
    pub fn of(nodes: usize) -> Self {
        let plan = Plan { nodes, ..Plan::draw(1) };
        let kept = vec![Kept::default(); nodes];
        let (events, logged, digest) = (Vec::new(), Vec::new(), String::new());
        Self(Story { plan, events, kept, logged, memory_bytes: 0, idle_packets_per_s: 0, digest })
    }

    /// Something happens, a millisecond after what was before it.
    pub fn happens(&mut self, what: What) -> &mut Self {
        let at_us = self.0.events.last().map_or(0, |event| event.at_us) + 1000;
        self.0.events.push(Event { at_us, what });
        self
    }

    /// So many milliseconds pass before what happens next.
    pub fn passes_ms(&mut self, ms: u64) -> &mut Self {
        let at_us = self.0.events.last().map_or(0, |event| event.at_us) + ms * 1000;
        self.0.events.push(Event { at_us, what: What::Garbled { node: 0, packets: 0 } });
        self
    }

    /// All is made good, and so many milliseconds pass.
    pub fn heals(&mut self, ms: u64) -> &mut Self {
        self.happens(What::Healed);
        let at_us = self.0.events[self.0.events.len() - 1].at_us + ms * 1000;
        self.0.events.push(Event { at_us, what: What::Leads { node: 0, term: 1 } });
        self
    }

    /// A node's disk is lost.
    pub fn loses(&mut self, node: usize) -> &mut Self {
        self.happens(What::Harmed(Fault::Replace(node)))
    }

    /// A request; gives its number.
    pub fn asks(&mut self, caller: &str, node: usize, ask: Ask) -> u32 {
        self.retries(caller, node, ask, None)
    }

    /// A request with a key; gives its number.
    pub fn retries(&mut self, caller: &str, node: usize, ask: Ask, key: Option<&str>) -> u32 {
        let op = self.0.operations().len() as u32;
        let asked = Asked { op, client: 0, caller: caller.into(), node, ask, key: key.map(Into::into) };
        self.happens(What::Asked(asked));
        op
    }

    /// Its answer.
    pub fn told(&mut self, op: u32, status: u16, body: Value) -> &mut Self {
        self.happens(What::Told { op, told: Told::Answer { status, body, majority: Some(true) } })
    }

    /// A request of caller `a` at node 0 with its answer.
    pub fn goes(&mut self, ask: Ask, status: u16, body: Value) -> &mut Self {
        let op = self.asks("a", 0, ask);
        self.told(op, status, body)
    }

    /// All nodes keep these versions of `a/n`, agreed in this order: id and value.
    pub fn keeps(&mut self, versions: &[(&str, &str)]) -> &mut Self {
        let versions: Vec<_> =
            versions.iter().zip(1..).map(|((id, value), at)| kept(id, Some(at), value, at)).collect();
        for node in &mut self.0.kept {
            let secret = KeptSecret { versions: versions.clone(), ..KeptSecret::default() };
            node.secrets.insert("a/n".into(), secret);
        }
        self
    }

    /// The disks of all nodes can be read in the end, and their registries are the same.
    pub fn ends_readable(&mut self) -> &mut Self {
        for kept in &mut self.0.kept {
            kept.registry.insert("names".into(), "same".into());
        }
        self
    }

    /// Asserts that the checker is silent.
    pub fn passes(&self, check: fn(&Story) -> Vec<super::Violation>) {
        assert_eq!(check(&self.0), [], "a good story");
    }

    /// Asserts that the checker finds something that it says in these words.
    pub fn fires(&self, check: fn(&Story) -> Vec<super::Violation>, says: &str) {
        let found = check(&self.0);
        assert!(found.iter().any(|violation| violation.says.contains(says)), "{found:#?}");
    }
}

/// A version as kept.
pub fn kept(id: &str, number: Option<u64>, value: &str, from_ms: u64) -> KeptVersion {
    let value = Some(value.to_owned());
    KeptVersion { id: id.into(), number, from_ms, payload: true, destroyed: false, deleted: false, value }
}

/// The answer to a write of `n`.
pub fn version(id: &str, number: impl Into<Option<u64>>) -> Value {
    json!({ "name": "n", "version": { "id": id, "number": number.into() } })
}

/// The answer to a read of `n`.
pub fn value(id: &str, number: impl Into<Option<u64>>, value: &str) -> Value {
    json!({ "name": "n", "value": value, "version": { "id": id, "number": number.into() } })
}

/// A refusal.
pub fn refusal(code: &str) -> Value {
    json!({ "code": code })
}

/// Creates `n`.
pub fn create(value: &str) -> Ask {
    Ask::Create { name: "n".into(), value: value.into() }
}

/// Writes `n`, on a condition or none.
pub fn update(value: &str, expect: Option<&str>) -> Ask {
    Ask::Update { name: "n".into(), value: value.into(), expect: expect.map(Into::into), agreed: false }
}

/// Reads `n` as a majority has it.
pub fn read() -> Ask {
    Ask::Read { name: "n".into(), version: None, quorum: true, owner: None }
}

/// Encrypts these names with these values.
pub fn encrypt(values: &[(&str, &str)]) -> Ask {
    let values: BTreeMap<_, _> =
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Ask::Encrypt { values }
}
