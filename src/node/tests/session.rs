//! Who is behind a token, asked of a node that does not know the token. Shows N4.

use std::time::Duration;

use covault_model::{
    id::TokenId,
    isolation::{Access, Role},
    name::{CallerName, NamePrefix},
    refusal::{CallerMistake, NoAuthority},
    token::{TOKEN_SECRET_LEN, token_text},
};

use super::{Node, ann, new_value, path, three};
use crate::vault::{AuthFailure, UpdateTerms};

/// Has a caller made on a node; its token.
async fn added(node: &Node, name: &str) -> String {
    let name = CallerName::parse(name).unwrap();
    let made = node.running().vault.add_caller(&ann(), name, Role::Member, None, None).await.unwrap();
    String::from_utf8(made.text.unwrap().expose_plaintext().to_vec()).unwrap()
}

/// The name of the caller behind `token`, as a node says.
async fn behind(node: &Node, token: &str) -> Result<String, AuthFailure> {
    let session = node.running().vault.authenticate(Some(token), &ann().request).await?;
    Ok(session.caller.to_string())
}

fn unknown() -> String {
    token_text(&TokenId([9; 8]), &[9; TOKEN_SECRET_LEN])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_a_node_has_not_heard_of_yet_is_known_to_it() {
    let mut nodes = three(None).await;
    nodes[2].stop().await;
    let token = added(&nodes[0], "bob").await;
    nodes[2].start(false, &[], None).await;
    assert_eq!(behind(&nodes[2], &token).await, Ok("bob".into()));
    assert_eq!(behind(&nodes[2], &unknown()).await, Err(AuthFailure::Invalid));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_and_a_grant_that_a_node_has_not_heard_of_yet_are_known_to_it() {
    let mut nodes = three(None).await;
    nodes[2].stop().await;
    let (_, bob) = (added(&nodes[0], "bob").await, CallerName::parse("bob").unwrap());
    nodes[2].start(false, &[], None).await;
    assert_eq!(nodes[2].running().vault.tokens(&ann(), &bob).await.unwrap().len(), 1);
    nodes[2].stop().await;

    let carl = CallerName::parse("carl").unwrap();
    added(&nodes[0], "carl").await;
    let shared = NamePrefix::parse("shared/").unwrap();
    nodes[0].running().vault.add_grant(&ann(), shared, carl.clone(), Access::Write, None).await.unwrap();
    nodes[2].start(false, &[], None).await;
    let mut asker = ann();
    (asker.session.caller, asker.session.role) = (carl, Role::Member);
    nodes[2].running().vault.create(&asker, &path("shared/a"), new_value("v"), None).await.unwrap();
    let elsewhere = nodes[2].running().vault.create(&asker, &path("b"), new_value("v"), None).await;
    assert_eq!(elsewhere.err(), Some(CallerMistake::Forbidden.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_grant_beside_a_read_grant_is_known_to_a_node_that_has_not_heard_of_it_yet() {
    let mut nodes = three(None).await;
    let (_, carl) = (added(&nodes[0], "carl").await, CallerName::parse("carl").unwrap());
    nodes[0].create("shared/a", "v").await;
    let give = async |nodes: &[Node], access| {
        let prefix = NamePrefix::parse("shared/").unwrap();
        nodes[0].running().vault.add_grant(&ann(), prefix, carl.clone(), access, None).await.unwrap();
    };
    let mut asker = ann();
    (asker.session.caller, asker.session.role) = (carl.clone(), Role::Member);
    let update = async |node: &Node| {
        let (terms, vault) = (UpdateTerms::default(), &node.running().vault);
        vault.update(&asker, &path("shared/a"), new_value("w"), terms, None).await.map(drop)
    };
    give(&nodes, Access::Read).await;
    nodes[2].confirm().await;
    assert_eq!(update(&nodes[2]).await.err(), Some(CallerMistake::Forbidden.into()));
    nodes[2].stop().await;
    give(&nodes, Access::Write).await;
    nodes[2].start(false, &[], None).await;
    assert_eq!(update(&nodes[2]).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_alone_refuses_the_tokens_that_it_knows_and_confirms_no_other() {
    let mut nodes = three(None).await;
    let token = added(&nodes[0], "bob").await;
    nodes[2].confirm().await;
    for node in &mut nodes {
        node.stop().await;
    }
    nodes[2].patience = Duration::from_secs(1);
    nodes[2].start(false, &[], None).await;
    assert_eq!(behind(&nodes[2], &token).await, Ok("bob".into()));
    let (id, secret) = token.rsplit_once('_').unwrap();
    let other_half = format!("{id}_{}", "0".repeat(secret.len()));
    assert_eq!(behind(&nodes[2], &other_half).await, Err(AuthFailure::Invalid));
    assert_eq!(behind(&nodes[2], "no token").await, Err(AuthFailure::Invalid));
    let unconfirmed = AuthFailure::Refused(NoAuthority::Unconfirmed.into());
    assert_eq!(behind(&nodes[2], &unknown()).await, Err(unconfirmed));
}
