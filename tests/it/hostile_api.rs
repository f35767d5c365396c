//! An API process that somebody has taken over, with its key and its place in the cluster: it brings a real node whatever
//! it likes, and gets no further than the tokens it has seen. Shows A2. The only suite that speaks as this project's
//! own program does, since no other could.

use std::{sync::Arc, time::Duration};

use covault::{
    host::Machine,
    relay::{Answered, Asked, Effect, PresentedToken, Vaults},
};
use serde_bytes::ByteBuf;
use tokio::{runtime::Runtime, time::Instant};

use crate::support::{
    Client, Place, Process,
    services::{founded, invite_api, join_api},
    vault::new_caller,
};

/// A node, and the way of an API process to it in other hands.
struct Scene {
    node: Place,
    _process: Process,
    _stolen: Place,
    runtime: Runtime,
    vaults: Vaults,
}

impl Scene {
    fn new() -> Self {
        let (node, process) = founded();
        let stolen = node.elsewhere();
        join_api(&stolen, &invite_api(&node.admin())).expect(0);
        let runtime = Runtime::new().unwrap();
        let entered = runtime.enter();
        let vaults = Vaults::start(&stolen.data(), Arc::new(Machine)).unwrap();
        drop(entered);
        Self { node, _process: process, _stolen: stolen, runtime, vaults }
    }

    /// What the node says to this; it must answer.
    fn bring(&self, asked: Asked) -> Answered {
        let carried = self.vaults.carry_out(asked, Effect::Keyed, Instant::now() + Duration::from_secs(60));
        self.runtime.block_on(carried).expect("an answer")
    }

    #[track_caller]
    fn check_refused(&self, asked: Asked, status: u16, code: &str) {
        let answer = self.bring(asked);
        assert_eq!((answer.status, answer.code.as_deref()), (status, Some(code)));
    }
}

fn asked(operation: &str, token: Option<&str>) -> Asked {
    Asked {
        operation: operation.into(),
        token: token.map(PresentedToken::new),
        request: "hostile-1".into(),
        captures: [String::new(), String::new()],
        query: String::new(),
        headers: Vec::new(),
        body: Vec::new(),
    }
}

#[test]
fn a_stolen_api_process_acts_for_nobody_whose_token_it_has_not_seen() {
    let scene = Scene::new();
    let admin = scene.node.admin();
    let seen = new_caller(&admin, "seen", "member").expect(201).text("/token");
    let unseen = new_caller(&admin, "unseen", "member").expect(201).text("/token");
    admin.with_token(&unseen).create("app/db", "theirs");
    let almost = format!("{}00", &unseen[..unseen.len() - 2]);
    let other = if almost == unseen { format!("{}01", &unseen[..unseen.len() - 2]) } else { almost };
    for token in [None, Some(""), Some("unseen"), Some(other.as_str())] {
        scene.check_refused(asked("list_secrets", token), 401, "unauthenticated");
    }
    let read = |owner: &str, token: &str| {
        let captures = ["app/db".to_owned(), String::new()];
        Asked { captures, query: owner.into(), ..asked("read_secret", Some(token)) }
    };
    scene.check_refused(read("owner=unseen", &seen), 404, "not_found");
    for operation in ["list_callers", "list_members", "invite"] {
        scene.check_refused(asked(operation, Some(&seen)), 403, "forbidden");
    }
    assert_eq!(scene.bring(asked("read_self", Some(&seen))).status, 200, "what was seen can be used");
    admin.delete("/v1/callers/seen").expect(204);
    scene.check_refused(asked("read_self", Some(&seen)), 401, "unauthenticated");
    let told = |client: &Client| client.value("app/db");
    assert_eq!(told(&admin.with_token(&unseen)), "theirs");
}

#[test]
fn what_no_client_could_have_said_is_refused_and_does_no_harm() {
    let scene = Scene::new();
    let token = scene.node.admin().token().to_owned();
    let own = |operation: &str| asked(operation, Some(&token));
    for operation in ["", "nonsense", "metrics", "health", "openapi", "unknown", "carry_out"] {
        scene.check_refused(own(operation), 404, "unknown_path");
    }
    for request in ["", "a b", "a\nb", &"a".repeat(1000)] {
        scene.check_refused(Asked { request: request.into(), ..own("read_self") }, 400, "invalid_header");
    }
    for (name, value) in [("authorization", "Bearer x"), ("If-Match", "*"), ("x", "y"), ("prefer", "a\nb")] {
        let headers = vec![(name.to_owned(), ByteBuf::from(value.as_bytes()))];
        scene.check_refused(Asked { headers, ..own("read_self") }, 400, "invalid_header");
    }
    let captures = ["%ff".to_owned(), String::new()];
    scene.check_refused(Asked { captures, ..own("read_secret") }, 400, "invalid_parameter");
    scene.check_refused(Asked { query: "a=1".into(), ..own("read_self") }, 400, "unknown_parameter");
    scene.check_refused(Asked { body: vec![0], ..own("read_self") }, 413, "body_too_large");
    scene.check_refused(Asked { body: vec![b' '; 3 << 20], ..own("create_secret") }, 413, "body_too_large");
    scene.check_refused(Asked { body: b"{".into(), ..own("create_secret") }, 400, "invalid_json");
    assert_eq!(scene.bring(own("read_self")).status, 200, "it is answered as before");
    scene.node.admin().create("after", "all that");
}
