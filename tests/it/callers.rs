//! Who may ask: tokens, roles, callers made and removed, and what stays when a token does not.

use serde_json::json;

use crate::support::{Place, Vault, vault::new_caller, wire};

#[test]
fn a_request_without_a_valid_token_is_refused() {
    let vault = Vault::start();
    vault.stranger().get("/v1/secrets").expect_problem(401, "unauthenticated");
    let made_up = format!("cvt_{}_{}", "0".repeat(16), "0".repeat(64));
    for token in ["", "x", "cvt_", "cvt_1_2", &made_up, &"t".repeat(4000)] {
        let answer = vault.member().with_token(token).get("/v1/self");
        assert!(answer.header("www-authenticate").is_some_and(|text| text.starts_with("Bearer")));
        answer.expect_problem(401, "unauthenticated");
    }
    let swapped = vault.member().token().replace("cvt_", "CVT_");
    vault.member().with_token(&swapped).get("/v1/self").expect_problem(401, "unauthenticated");
}

#[test]
fn one_changed_digit_of_a_token_is_refused() {
    let vault = Vault::start();
    let member = vault.member();
    let token = member.token().to_owned();
    for at in [4, 10, 19, 21, 50, token.len() - 1] {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        let changed = String::from_utf8(bytes).unwrap();
        member.with_token(&changed).get("/v1/self").expect_problem(401, "unauthenticated");
    }
}

#[test]
fn other_schemes_and_doubled_headers_are_refused() {
    let vault = Vault::start();
    let member = vault.member();
    let token = member.token();
    for header in
        [format!("Authorization: Basic {token}"), format!("Authorization: {token}"), "X-A: b".to_owned()]
    {
        let request = format!("GET /v1/self HTTP/1.1\r\nHost: v\r\nConnection: close\r\n{header}\r\n\r\n");
        assert_eq!(wire::status(&wire::exchange(member.base(), request.as_bytes())), 401, "{header}");
    }
    let twice = format!("Authorization: Bearer {token}");
    let answer = wire::exchange(member.base(), &wire::request("GET", "/v1/self", token, &[&twice], b""));
    assert!(matches!(wire::status(&answer), 400 | 401), "{}", String::from_utf8_lossy(&answer));
}

#[test]
fn a_caller_learns_who_it_is() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let me = ann.get("/v1/self").expect(200);
    assert_eq!((me.text("/name"), me.text("/role")), ("ann".to_owned(), "member".to_owned()));
    assert_eq!(vault.admin().get("/v1/self").expect(200).text("/role"), "admin");
}

#[test]
fn only_an_admin_makes_and_sees_callers() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    new_caller(&ann, "eve", "admin").expect_problem(403, "forbidden");
    ann.get("/v1/callers").expect_problem(403, "forbidden");
    ann.delete("/v1/callers/ann").expect_problem(403, "forbidden");
    let listed = vault.admin().get("/v1/callers").expect(200);
    let text = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(text.contains("\"ann\"") && !text.contains("\"eve\""));
    assert!(!text.contains(ann.token().rsplit('_').next().unwrap()), "no token is listed");
}

#[test]
fn a_second_token_works_and_a_removed_one_stops() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let made = vault.admin().post("/v1/callers/ann/tokens", &json!({})).expect(201);
    let second = ann.with_token(&made.text("/token"));
    second.get("/v1/self").expect(200);
    let id = second.token().split('_').nth(1).unwrap().to_owned();
    vault.admin().delete(&format!("/v1/callers/ann/tokens/{id}")).expect(204);
    second.get("/v1/self").expect_problem(401, "unauthenticated");
    ann.get("/v1/self").expect(200);
    vault.admin().delete(&format!("/v1/callers/ann/tokens/{id}")).expect_problem(404, "not_found");
}

#[test]
fn a_removed_caller_is_out_and_its_name_is_not_given_again() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    ann.create("left", "behind");
    vault.admin().delete("/v1/callers/ann").expect(204);
    ann.get("/v1/self").expect_problem(401, "unauthenticated");
    new_caller(&vault.admin(), "ann", "member").expect_problem(409, "caller_exists");
    vault.admin().delete("/v1/callers/nobody").expect_problem(404, "not_found");
}

#[test]
fn the_last_admin_and_its_last_token_cannot_be_removed() {
    let place = Place::initialised();
    let _node = place.serve("", &[]);
    let admin = place.admin();
    let name = admin.get("/v1/self").expect(200).text("/name");
    let id = admin.token().split('_').nth(1).unwrap().to_owned();
    admin.delete(&format!("/v1/callers/{name}")).expect_problem(409, "last_admin");
    admin.delete(&format!("/v1/callers/{name}/tokens/{id}")).expect_problem(409, "last_admin");
    admin.get("/v1/self").expect(200);
    new_caller(&admin, "second", "admin").expect(201);
    admin.delete(&format!("/v1/callers/{name}")).expect(204);
    admin.get("/v1/self").expect_problem(401, "unauthenticated");
}

#[test]
fn a_token_past_its_expiry_is_refused() {
    let vault = Vault::start();
    let ann = vault.caller("ann");
    let body = json!({"expires_at": "2020-01-01T00:00:00.000Z"});
    let made = vault.admin().post("/v1/callers/ann/tokens", &body);
    if made.status == 201 {
        ann.with_token(&made.text("/token")).get("/v1/self").expect_problem(401, "unauthenticated");
    } else {
        made.expect_problem(400, "invalid_field");
    }
}
