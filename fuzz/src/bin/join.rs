//! How a stranger becomes a member: the join token that it is given, what it asks and what it is told. One meaning
//! of each, no secret and no answer larger than may be, and nothing panics.
//! Knows nothing of who is let in.

#![no_main]

use covault::node::enrolment::{Shown, read_ask, read_told, write_api_ask, write_ask, write_told};
use covault_model::{
    id::{InvitationHash, InvitationId, NodeId},
    invitation::{JOIN_TOKEN_BYTES_MAX, JoinToken},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = str::from_utf8(bytes)
        && let Some(token) = JoinToken::parse(text)
    {
        assert!(text.len() <= JOIN_TOKEN_BYTES_MAX);
        let again = JoinToken::parse(&token.text()).expect("what is written is read");
        assert_eq!((again.cluster, again.node, again.address), (token.cluster, token.node, token.address));
        assert_eq!((again.id, again.hash()), (token.id, token.hash()));
        // What is asked with a token shows its invitation and its secret.
        for ask in [write_ask(&token, token.address), write_api_ask(&token)] {
            let (invitation, hash, _) = shown(&ask).expect("what is asked is read");
            assert_eq!((invitation, hash), (token.id, token.hash()));
        }
    }
    if let Some((_, _, key)) = shown(bytes) {
        assert_eq!(key, NodeId::default(), "whose key it is stands not in the bytes");
    }
    if let Ok(told) = read_told(bytes) {
        assert_eq!(read_told(&write_told(told.clone())), Ok(told));
    }
});

/// The invitation, the hash of its secret, and the key of who shows it.
fn shown(ask: &[u8]) -> Option<(InvitationId, InvitationHash, NodeId)> {
    match read_ask(NodeId::default(), ask).ok()? {
        Shown::ByNode(asked) => Some((asked.invitation, asked.hash, asked.node)),
        Shown::ByApi(asked) => Some((asked.invitation, asked.hash, asked.api)),
    }
}
