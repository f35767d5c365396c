//! How a node is, for Prometheus: the text of one moment, made for one answer, so that a member that was taken away is in
//! it no more. Knows nothing of callers or secrets' names: its labels are members' ids, their roles, and codes.

use covault_model::skew::Skew;
use metrics::{Key, Label, Level, Metadata, Recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};

use crate::vault::{KeyStatus, MemberRole, MemberStatus, Standing, Status};

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

/// What a node says of itself, in the text format.
pub fn of_node(status: &Status) -> String {
    let observed = Observed::new();
    for (name, meaning, value) in facts(status) {
        observed.gauge(name, meaning, Vec::new(), value as f64);
    }
    let meaning = "How far this clock is ahead of most members'.";
    observed.gauge("covault_clock_skew_seconds", meaning, Vec::new(), seconds(status.clock_skew));
    status.members.iter().for_each(|member| observed.member(member));
    let meaning = "Records of other nodes refused.";
    observed.counters("covault_refused_records_total", meaning, "code", &status.refused_records);
    let meaning = "Connections and requests between nodes refused or given up.";
    observed.counters("covault_refused_peers_total", meaning, "reason", &status.refused_peers);
    observed.text()
}

/// How the vault nodes are that an API process asks, in the text format.
pub fn of_nodes([majority, minority, silent]: [usize; 3]) -> String {
    let observed = Observed::new();
    for (name, meaning, count) in [
        ("covault_nodes_majority", "Vault nodes that answer with a majority behind them.", majority),
        ("covault_nodes_minority", "Vault nodes that answer without one.", minority),
        ("covault_nodes_silent", "Vault nodes that do not answer.", silent),
    ] {
        observed.gauge(name, meaning, Vec::new(), count as f64);
    }
    observed.text()
}

fn facts(status: &Status) -> [(&'static str, &'static str, u64); 17] {
    let KeyStatus { usable, unavailable, .. } = &status.keys;
    [
        ("covault_secrets", "Secrets that exist.", status.secrets),
        ("covault_versions", "Versions in all histories.", status.versions),
        (
            "covault_provisional_versions",
            "Versions without a number: not agreed yet, or superseded.",
            status.provisional,
        ),
        ("covault_mappings", "Mappings of tokens to values.", status.mappings),
        ("covault_held_back_records", "Records from ahead of this node's clock.", status.held_back),
        ("covault_disk_used_bytes", "Disk the store uses.", status.disk_used),
        ("covault_disk_free_bytes", "Disk the file system has left.", status.disk_free),
        ("covault_raft_term", "The Raft term.", status.term),
        ("covault_raft_last_log_index", "The last log index held.", status.last_log),
        ("covault_raft_applied_index", "The last log index applied.", status.applied),
        ("covault_members", "Voters of the cluster.", voters(status)),
        ("covault_members_lag_max", "Log entries the farthest member lacks.", lag(status)),
        ("covault_is_leader", "1 on the leader.", u64::from(status.leader == Some(status.node))),
        (
            "covault_has_majority",
            "1 while a majority stands behind this node.",
            u64::from(status.standing == Standing::Majority),
        ),
        ("covault_keys_usable", "Master keys that are there and right.", usable.len() as u64),
        ("covault_keys_unavailable", "Master keys missing or wrong.", unavailable.len() as u64),
        ("covault_takes_writes", "1 while writes are taken.", u64::from(status.refuses_writes.is_none())),
    ]
}

fn voters(status: &Status) -> u64 {
    let votes = |role| matches!(role, MemberRole::Leader | MemberRole::Follower);
    status.members.iter().filter(|member| votes(member.role)).count() as u64
}

/// What the member that is farthest behind lacks, as the leader knows it; none elsewhere.
fn lag(status: &Status) -> u64 {
    status.members.iter().filter_map(|member| member.lag).max().unwrap_or(0)
}

fn seconds(skew: Skew) -> f64 {
    skew.0 as f64 / 1000.0
}

struct Observed(PrometheusRecorder);

impl Observed {
    fn new() -> Self {
        Self(PrometheusBuilder::new().build_recorder())
    }

    /// What is known of one member; what is not is left out.
    fn member(&self, member: &MemberStatus) {
        let of_it = || vec![Label::new("member", member.node.to_string())];
        let role = Label::from_static_parts("role", member.role.as_str());
        let meaning = "1 for what each member is, as this node sees it.";
        self.gauge("covault_member_role", meaning, [of_it(), vec![role]].concat(), 1.0);
        let known = [
            (
                "covault_member_last_contact_seconds",
                "How long ago this node heard of a member.",
                member.heard.map(|ago| ago.as_secs_f64()),
            ),
            (
                "covault_member_lag_entries",
                "Log entries that a member lacks; the leader knows.",
                member.lag.map(|lag| lag as f64),
            ),
            (
                "covault_member_clock_ahead_seconds",
                "How far a member's clock is ahead of this node's.",
                member.clock_ahead.map(seconds),
            ),
        ];
        for (name, meaning, value) in known {
            if let Some(value) = value {
                self.gauge(name, meaning, of_it(), value);
            }
        }
    }

    fn gauge(&self, name: &'static str, meaning: &'static str, labels: Vec<Label>, value: f64) {
        self.0.describe_gauge(name.into(), None, meaning.into());
        self.0.register_gauge(&Key::from_parts(name, labels), &METADATA).set(value);
    }

    fn counters(
        &self,
        name: &'static str,
        meaning: &'static str,
        label: &'static str,
        counts: &[(&'static str, u64)],
    ) {
        self.0.describe_counter(name.into(), None, meaning.into());
        for (why, count) in counts {
            let key = Key::from_parts(name, vec![Label::from_static_parts(label, why)]);
            self.0.register_counter(&key, &METADATA).absolute(*count);
        }
    }

    fn text(&self) -> String {
        self.0.handle().render()
    }
}
