//! Who is a member: invitations, joining and removal, through the command line and over HTTP. Shows M1 and M2
//! from outside. Knows nothing of how nodes talk.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{
    Cluster, Place, Process,
    command::run,
    eventually,
    joining::{invite, join, roles, start, until_all_vote},
    node::free_port,
};

/// A cluster of one whose node peers can reach, serving.
fn founded() -> (Place, Process) {
    let place = Place::initialised();
    let node = place.serve("[quic]\nlisten = \"127.0.0.1:0\"\n", &[]);
    (place, node)
}

fn bring_keyring(from: &Place, to: &Place) {
    fs::copy(from.keyring(), to.keyring()).unwrap();
}

fn leaves_no_vault(place: &Place) {
    assert!(!place.data().join("data.mdb").exists(), "nothing that could be started");
}

#[test]
fn a_node_joins_with_an_invitation_catches_up_and_votes() {
    let (first, _node) = founded();
    first.admin().create("before", "it came");
    let second = first.elsewhere();
    let joined = join(&second, &invite(&first.admin())).expect(0);
    assert!(joined.stderr.contains("keyring"), "it says what is left to do: {}", joined.stderr);
    bring_keyring(&first, &second);
    let _second_node = start(&second);
    until_all_vote(&first.admin(), 2);
    assert_eq!(second.admin().value("before"), "it came");
    second.admin().create("after", "both agreed");
    assert_eq!(first.admin().value("after"), "both agreed");
    let id = joined.json()["node"].as_str().unwrap().to_owned();
    assert!(roles(&second.admin()).iter().any(|(node, _)| *node == id));
}

#[test]
fn an_invitation_that_is_used_expired_or_forged_lets_nobody_in() {
    let (first, _node) = founded();
    let used = invite(&first.admin());
    join(&first.elsewhere(), &used).expect(0);
    let short = first.admin().post("/v1/invitations", &json!({"lifetime_seconds": 1})).expect(201);
    let end = short.text("/expires_at");
    eventually("the invitation to expire", || {
        (end < first.admin().get("/v1/status").expect(200).text("/now")).then_some(())
    });
    let fresh = invite(&first.admin());
    let last = if fresh.ends_with('0') { '1' } else { '0' };
    let forged = format!("{}{last}", &fresh[..fresh.len() - 1]);
    for token in [&used, &short.text("/token"), &forged] {
        let elsewhere = first.elsewhere();
        let refused = join(&elsewhere, token).expect(1);
        assert!(refused.stderr.contains("(invitation_invalid)"), "{}", refused.stderr);
        assert!(!refused.all().contains(token.as_str()), "a token is not repeated");
        leaves_no_vault(&elsewhere);
    }
    assert_eq!(roles(&first.admin()).len(), 2, "the founder and the one that used the first");
}

#[test]
fn a_join_that_was_cut_off_goes_on_with_the_same_token() {
    let (first, _node) = founded();
    let (second, token) = (first.elsewhere(), invite(&first.admin()));
    let taken_in = join(&second, &token).expect(0).json();
    // As if the answer had been lost: the node was taken in, and knows nothing of it.
    for name in ["data.mdb", "joining.json"] {
        fs::remove_file(second.data().join(name)).unwrap();
    }
    fs::remove_file(second.path("joined.toml")).unwrap();
    let again = join(&second, &token).expect(0).json();
    assert_eq!(again["node"], taken_in["node"]);
    bring_keyring(&first, &second);
    let _second_node = start(&second);
    until_all_vote(&first.admin(), 2);
    let written = join(&second, &token).expect(2);
    assert!(
        written.stderr.contains("nothing was done"),
        "a configuration is not written over: {}",
        written.stderr
    );
    fs::remove_file(second.path("joined.toml")).unwrap();
    let once_more = join(&second, &token).expect(1);
    assert!(once_more.stderr.contains("(vault_exists)"), "{}", once_more.stderr);
}

#[test]
fn a_joiner_asks_only_the_node_that_its_token_names() {
    let (first, _node) = founded();
    let token = invite(&first.admin());
    let id = first.admin().get("/v1/status").expect(200).text("/node");
    let other = if id.starts_with('0') { '1' } else { '0' };
    let elsewhere = first.elsewhere();
    let swapped = token.replace(&id, &format!("{other}{}", &id[1..]));
    assert_ne!(swapped, token);
    let refused = join(&elsewhere, &swapped).expect(1);
    assert!(refused.stderr.contains("(unreachable)"), "{}", refused.stderr);
    leaves_no_vault(&elsewhere);
    // The invitation was not used up by it.
    join(&elsewhere, &token).expect(0);
}

#[test]
fn what_is_no_join_token_is_refused_before_anything_is_made() {
    let place = Place::empty();
    for text in ["", "cvj_", "cvt_00_00", "cvj_zz", &"cvj_00".repeat(400)] {
        let refused = join(&place, text).expect(1);
        assert!(refused.stderr.contains("(invitation_invalid)"), "{}", refused.stderr);
        assert!(!place.data().exists());
    }
}

#[test]
fn a_joiner_without_the_keyring_keeps_what_others_write_and_says_what_it_lacks() {
    let (first, _node) = founded();
    first.admin().create("kept", "as ciphertext");
    let second = first.elsewhere();
    join(&second, &invite(&first.admin())).expect(0);
    let mut node = start(&second);
    until_all_vote(&first.admin(), 2);
    second.admin().get("/v1/secrets/kept").expect_problem(503, "master_key_unavailable");
    assert_eq!(second.admin().history("kept").len(), 1);
    node.kill_hard();
    bring_keyring(&first, &second);
    let _node = start(&second);
    assert_eq!(second.admin().value("kept"), "as ciphertext");
}

#[test]
fn an_invitation_asked_for_twice_is_one_and_its_token_is_shown_once() {
    let (first, _node) = founded();
    let headers = [("idempotency-key", "one")];
    let ask = |body: &Value| first.admin().json("POST", "/v1/invitations", &headers, body);
    let made = ask(&json!({})).expect(201);
    let again = ask(&json!({})).expect(201);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!((again.at("/id"), again.at("/token")), (made.at("/id"), Value::Null));
    assert_eq!(again.at("/expires_at"), made.at("/expires_at"));
    ask(&json!({"lifetime_seconds": 60})).expect_problem(422, "idempotency_conflict");
    let kept = fs::read(first.data().join("data.mdb")).unwrap();
    let secret = &made.text("/token")[made.text("/token").len() - 64..];
    assert!(!kept.windows(64).any(|bytes| bytes == secret.as_bytes()), "only its hash is kept");
}

#[test]
fn members_are_for_admins_and_each_step_is_in_the_audit_log() {
    let (first, _node) = founded();
    let made = first.admin().post("/v1/callers", &json!({"name": "mem"})).expect(201);
    let member = first.admin().with_token(&made.text("/token"));
    let node = first.admin().get("/v1/status").expect(200).text("/node");
    member.get("/v1/members").expect_problem(403, "forbidden");
    member.post("/v1/invitations", &json!({})).expect_problem(403, "forbidden");
    member.delete(&format!("/v1/members/{node}")).expect_problem(403, "forbidden");
    first.admin().delete(&format!("/v1/members/{node}")).expect_problem(409, "last_member");
    first.admin().delete(&format!("/v1/members/{}", "00".repeat(32))).expect_problem(404, "not_found");
    first.admin().delete("/v1/members/short").expect_problem(400, "invalid_parameter");
    join(&first.elsewhere(), &invite(&first.admin())).expect(0);
    let log = fs::read_to_string(first.data().join("audit/000001.jsonl")).unwrap();
    for action in ["member.invite", "member.join", "member.list", "member.remove"] {
        assert!(log.contains(&format!("\"action\":\"{action}\"")), "{action} is not in the log");
    }
}

#[test]
fn a_node_that_peers_cannot_reach_invites_nobody() {
    let place = Place::initialised();
    let _node = place.serve("", &[]);
    place.admin().post("/v1/invitations", &json!({})).expect_problem(409, "peers_not_configured");
}

#[test]
fn a_removed_node_is_let_in_no_more_and_what_remains_goes_on() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let gone = (leader + 1) % 3;
    let (admin, id) = (cluster.admin(leader), cluster.id(gone));
    let token_file = cluster.folder().join("admin.token");
    private(&token_file, admin.token());
    let (url, file) = (admin.base().to_owned(), token_file.to_str().unwrap().to_owned());
    let cli =
        |arguments: &[&str]| run(&[arguments, &["--url", &url, "--token-file", &file]].concat(), b"", &[]);
    assert!(cli(&["members"]).expect(0).stdout.contains(&id[..12]));
    let done = cli(&["remove", &id[..12]]).expect(0);
    assert!(done.stdout.contains(&id), "{}", done.stdout);
    until_all_vote(&admin, 2);
    assert!(!cli(&["members"]).expect(0).stdout.contains(&id[..12]));
    cluster.member(leader).create("without", "the third");
    let out = cluster.member(gone);
    eventually("the removed node to stand alone", || {
        (out.get("/v1/status").expect(200).at("/standing") == "minority").then_some(())
    });
    out.get("/v1/secrets/without").expect_problem(503, "unconfirmed");
    out.post("/v1/secrets", &json!({"name": "x", "value": "x"})).expect_problem(503, "quorum_unavailable");
    cluster.kill(gone);
    cluster.restart(gone);
    let out = cluster.member(gone);
    out.post("/v1/secrets", &json!({"name": "x", "value": "x"})).expect_problem(503, "quorum_unavailable");
    assert_eq!(roles(&admin).len(), 2);
    let removed_again = cli(&["remove", &id[..12]]).expect(1);
    assert!(removed_again.stderr.contains("(not_found)"), "{}", removed_again.stderr);
    // Its key is remembered: with a fresh invitation and the same identity it stays out.
    let place = Place::empty();
    fs::create_dir_all(place.data()).unwrap();
    fs::copy(cluster.data(gone).join("node.key"), place.data().join("node.key")).unwrap();
    let refused = join(&place, &invite(&admin)).expect(1);
    assert!(refused.stderr.contains("(node_known)"), "{}", refused.stderr);
}

#[test]
fn one_of_two_nodes_can_be_removed_and_the_other_goes_on_alone() {
    let (first, _node) = founded();
    let second = first.elsewhere();
    let joined = join(&second, &invite(&first.admin())).expect(0).json();
    bring_keyring(&first, &second);
    let mut second_node = start(&second);
    until_all_vote(&first.admin(), 2);
    first.admin().delete(&format!("/v1/members/{}", joined["node"].as_str().unwrap())).expect(204);
    until_all_vote(&first.admin(), 1);
    second_node.kill_hard();
    first.admin().create("alone", "and well");
    let last = first.admin().get("/v1/status").expect(200).text("/node");
    first.admin().delete(&format!("/v1/members/{last}")).expect_problem(409, "last_member");
}

#[test]
fn the_leader_can_be_removed_as_well() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let other = (leader + 1) % 3;
    let path = format!("/v1/members/{}", cluster.id(leader));
    cluster.admin(other).delete(&path).expect(204);
    until_all_vote(&cluster.admin(other), 2);
    eventually("the others to agree again", || {
        let made = cluster.member(other).post("/v1/secrets", &json!({"name": "on", "value": "on"}));
        (made.status == 201 || made.code() == "secret_exists").then_some(())
    });
}

#[test]
fn a_node_that_missed_something_and_starts_elsewhere_says_where_it_is() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader(0);
    let moved = (leader + 1) % 3;
    cluster.stop(moved);
    for number in 0..3 {
        cluster.member(leader).create(&format!("missed-{number}"), "by the one that moves");
    }
    let address = format!("127.0.0.1:{}", free_port());
    let config = cluster.data(moved).join("covault.toml");
    let mut settings: toml::Table = fs::read_to_string(&config).unwrap().parse().unwrap();
    settings["quic"].as_table_mut().unwrap().insert("listen".into(), address.clone().into());
    fs::write(config, settings.to_string()).unwrap();
    cluster.restart(moved);
    eventually("the one that moved to be among them again", || {
        (cluster.member(moved).get("/v1/status").expect(200).at("/standing") == "majority").then_some(())
    });
    assert_eq!(cluster.member(moved).value("missed-2"), "by the one that moves");
    eventually("the others to know where it is", || {
        let members = cluster.admin(leader).get("/v1/members").expect(200).at("/members");
        let known = |member: &Value| member["node"] == cluster.id(moved) && member["address"] == address;
        members.as_array().unwrap().iter().any(known).then_some(())
    });
}

#[test]
fn a_node_that_was_away_finds_a_leader_that_it_has_never_heard_of() {
    let mut cluster = Cluster::start(4);
    let (away, others) = (3, [0, 1, 2]);
    cluster.kill(away);
    let newcomer = Place::empty();
    let joined = join(&newcomer, &invite(&cluster.admin(0))).expect(0).json();
    let newcomers_id = joined["node"].as_str().unwrap();
    fs::copy(cluster.data(0).join("master.keys"), newcomer.keyring()).unwrap();
    let _node = start(&newcomer);
    for other in others {
        until_all_vote(&cluster.admin(other), 5);
    }
    let asked = cluster.member(0).at(&newcomer.url());
    let leader = || asked.get("/v1/status").expect(200).at("/leader").as_str().map(str::to_owned);
    // Whoever else leads is away for as long as it takes to elect another, until that is the newcomer.
    for _ in 0..40 {
        let leading = eventually("a leader", leader);
        let Some(place) = others.into_iter().find(|place| cluster.id(*place) == leading) else { break };
        cluster.kill(place);
        eventually("another leader", || leader().filter(|id| *id != leading));
        cluster.restart(place);
    }
    assert_eq!(eventually("a leader", leader), newcomers_id);
    cluster.restart(away);
    eventually("the one that was away to take part", || {
        let made = cluster.member(away).post("/v1/secrets", &json!({"name": "back", "value": "back"}));
        (made.status == 201).then_some(())
    });
}

fn private(path: &Path, text: &str) {
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}
