//! A story in words: one line for each thing that happened, in columns, for whoever reads what a run did. An operation
//! has its line where it was asked. Knows nothing of rules.

use serde_json::Value;

use crate::{
    plan::Plan,
    story::{Ask, Asked, Operation, Story, Told, What},
};

/// A story's lines, in order.
pub fn lines(story: &Story) -> Vec<String> {
    let operations = story.operations();
    let line = |event: &crate::story::Event| {
        let said = match &event.what {
            What::Asked(asked) => row(operations.get(asked.op as usize)?),
            What::Told { .. } => return None,
            what => happened(what)?,
        };
        Some(format!("{:>9.3} s  {said}", event.at_us as f64 / 1e6))
    };
    story.events.iter().filter_map(line).collect()
}

/// What a plan says, in lines.
pub fn plan(plan: &Plan) -> Vec<String> {
    let (least, most) = plan.latency_ms;
    let mut lines = vec![
        format!(
            "seed {}: {} nodes, {} clients for {} callers, {} names",
            plan.seed, plan.nodes, plan.clients, plan.callers, plan.names
        ),
        format!(
            "packets take {least} to {most} ms; of a million {} are lost, {} doubled; clocks are off by {:?} ms",
            plan.lost, plan.doubled, plan.skews_ms
        ),
        format!(
            "clients think up to {} ms and wait up to {} ms; a snapshot every {} entries",
            plan.thinks_ms, plan.patience_ms, plan.entries_per_snapshot
        ),
        format!(
            "harm for {:.1} s, then {:.1} s to recover:",
            plan.harm_ms as f64 / 1e3,
            plan.heal_ms as f64 / 1e3
        ),
    ];
    let harm = |harm: &crate::fault::Harm| {
        let (at, long) = (harm.at_ms as f64 / 1e3, harm.for_ms as f64 / 1e3);
        format!("  at {at:>6.2} s for {long:>5.2} s  {}", harm.fault)
    };
    lines.extend(plan.harms.iter().map(harm));
    lines
}

/// One word for what is asked, as coverage counts it.
pub fn kind(ask: &Ask) -> &'static str {
    match ask {
        Ask::Create { .. } => "create",
        Ask::Update { expect: Some(_), .. } => "replace",
        Ask::Update { .. } => "update",
        Ask::Read { quorum: true, .. } => "confirmed read",
        Ask::Read { .. } => "read",
        Ask::History { .. } => "history",
        Ask::List => "list",
        Ask::Label { .. } => "label",
        Ask::Delete { .. } => "delete",
        Ask::Undelete { .. } => "undelete",
        Ask::Destroy { .. } => "destroy",
        Ask::Encrypt { .. } => "encrypt",
        Ask::Expand { .. } => "expand",
        Ask::Tokenize { .. } => "tokenize",
        Ask::Detokenize { .. } => "detokenize",
        Ask::Epochs => "epochs",
        Ask::Activate { .. } => "activate",
        Ask::DestroyEpoch { .. } => "destroy epoch",
        Ask::Status => "status",
        Ask::Of { ask, .. } => kind(ask),
    }
}

/// Whether it changes nothing.
pub fn only_reads(ask: &Ask) -> bool {
    use Ask::{Detokenize, Epochs, Expand, History, List, Of, Read, Status};
    match ask {
        Of { ask, .. } => only_reads(ask),
        Read { .. } | History { .. } | List | Expand { .. } | Detokenize { .. } | Epochs | Status => true,
        _ => false,
    }
}

/// What is asked, with what about.
pub fn asks(ask: &Ask) -> String {
    let about = match ask {
        Ask::Create { name, .. } | Ask::Update { name, .. } => name.clone(),
        Ask::Read { name, version, owner, .. } => {
            let owner = owner.as_ref().map(|owner| format!("{owner}'s ")).unwrap_or_default();
            let version = version.as_ref().map(|version| format!("@{}", short(version))).unwrap_or_default();
            format!("{owner}{name}{version}")
        }
        Ask::History { name } | Ask::Label { name, .. } => name.clone(),
        Ask::Delete { name } | Ask::Undelete { name } => name.clone(),
        Ask::Destroy { name, versions } => format!("{name} {versions:?}"),
        Ask::Encrypt { values } => values.keys().cloned().collect::<Vec<_>>().join(" "),
        Ask::Expand { names } => names.join(" "),
        Ask::Tokenize { values } => format!("{} values", values.len()),
        Ask::Detokenize { tokens } => format!("{} tokens", tokens.len()),
        Ask::Activate { epoch, after } => format!("{epoch} after {after}"),
        Ask::DestroyEpoch { epoch } => epoch.to_string(),
        Ask::Of { owner, ask } => return format!("{owner}'s {}", asks(ask)),
        Ask::List | Ask::Epochs | Ask::Status => String::new(),
    };
    format!("{} {about}", kind(ask)).trim_end().to_owned()
}

/// What was told, in a few words.
pub fn answers(told: &Told) -> String {
    let Told::Answer { status, body, majority } = told else {
        return if *told == Told::Unreached { "not reached" } else { "no answer" }.to_owned();
    };
    let mut said = status.to_string();
    if let Some(code) = told.code() {
        said = format!("{said} {code}");
    } else if let Some(version) = body.get("version").filter(|version| version.is_object()) {
        let id = short(version["id"].as_str().unwrap_or_default());
        said = match version["number"].as_u64() {
            Some(number) => format!("{said} number {number} ({id})"),
            None => format!("{said} provisional ({id})"),
        };
    } else if let Some(all) = body.get("versions").and_then(Value::as_array) {
        said = format!("{said} {} versions", all.len());
    }
    if *majority == Some(false) { format!("{said}, minority") } else { said }
}

fn row(operation: &Operation<'_>) -> String {
    let Asked { client, caller, node, ask, key, .. } = operation.asked;
    let took = match operation.told_us {
        u64::MAX => String::new(),
        told => format!("{:.0} ms", (told - operation.asked_us) as f64 / 1e3),
    };
    let retried = if key.is_some() { " (keyed)" } else { "" };
    let who = format!("client {client} {caller}");
    let asks = format!("{}{retried}", asks(ask));
    format!("  {who:<18} {asks:<32} node {node}  {took:>8}  {}", answers(operation.told))
}

/// What happened that was no request, in words.
pub fn happened(what: &What) -> Option<String> {
    Some(match what {
        What::Whole => "= the cluster is whole".to_owned(),
        What::Harmed(fault) => format!("! {fault}"),
        What::Mended(fault) => format!(". mended: {fault}"),
        What::Healed => "= everything is made good".to_owned(),
        What::Serves { node, boot } => format!("+ node {node} serves (start {boot})"),
        What::Stopped { node } => format!("- node {node} is down"),
        What::Failed { node, why } => format!("- node {node} failed: {why}"),
        What::Leads { node, term } => format!("* node {node} leads in term {term}"),
        What::Removed { node, id } => format!("- node {node} ({}) is a member no more", short(id)),
        What::Robbed { node } => format!("~ somebody has copied the key of node {node}"),
        What::Garbled { node, packets } => format!("~ node {node} is sent {packets} packets that are none"),
        What::Knocked { node, by, answered, told } => {
            format!("~ {by:?} knocks at node {node}: answered {answered}, {told}")
        }
        What::Lied { node, lie, taken, told } => {
            format!("~ node {node} is told a lie ({lie:?}) with a stolen key: taken {taken}, {told}")
        }
        What::Asked(_) | What::Told { .. } => return None,
    })
}

/// The beginning of an id.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::{fault::Fault, story::Event};

    /// A story in which nothing has happened yet.
    pub fn story() -> Story {
        Story {
            plan: Plan::draw(1),
            events: Vec::new(),
            kept: Vec::new(),
            logged: Vec::new(),
            memory_bytes: 0,
            idle_packets_per_s: 0,
            digest: "d".into(),
        }
    }

    impl Story {
        /// Has something happen.
        pub fn push(&mut self, at_us: u64, what: What) {
            self.events.push(Event { at_us, what });
        }
    }

    /// A create of `name` at node 1.
    pub fn create(op: u32, name: &str) -> What {
        let ask = Ask::Create { name: name.into(), value: "v".into() };
        What::Asked(Asked { op, client: 2, caller: "caller0".into(), node: 1, ask, key: None })
    }

    /// An answer without a body.
    pub fn answer(status: u16) -> Told {
        Told::Answer { status, body: Value::Null, majority: None }
    }

    #[test]
    fn an_operation_has_one_line_with_its_answer_and_faults_have_theirs() {
        let mut story = story();
        story.push(500_000, What::Harmed(Fault::Crash(0)));
        story.push(1_000_000, create(0, "n3"));
        story.push(1_012_000, What::Told { op: 0, told: answer(409) });
        let lines = lines(&story);
        assert_eq!(lines[0], "    0.500 s  ! node 0 loses power");
        assert_eq!(lines.len(), 2);
        for part in ["1.000 s", "client 2 caller0", "create n3", "node 1", "12 ms", "409"] {
            assert!(lines[1].contains(part), "{part} is not in {}", lines[1]);
        }
    }

    #[test]
    fn an_answer_says_what_became_of_a_version() {
        let told = |status, body| answers(&Told::Answer { status, body, majority: Some(false) });
        let id = "0123456789abcdef";
        assert_eq!(
            told(200, json!({ "version": { "id": id, "number": 3 } })),
            "200 number 3 (01234567), minority"
        );
        assert_eq!(
            told(202, json!({ "version": { "id": id, "number": null } })),
            "202 provisional (01234567), minority"
        );
        assert_eq!(told(409, json!({ "code": "secret_exists" })), "409 secret_exists, minority");
        assert_eq!(answers(&Told::Lost), "no answer");
    }

    #[test]
    fn a_plan_names_all_its_harms() {
        let drawn = Plan::draw(3);
        assert_eq!(plan(&drawn).len(), 4 + drawn.harms.len());
    }
}
