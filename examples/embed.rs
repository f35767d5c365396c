//! A vault inside a program, with no HTTP: stores a secret, changes it, reads it and its history.
//! Run it with `cargo run --example embed`.

use std::{collections::BTreeMap, error::Error, sync::Arc};

use covault::{
    host::Machine,
    node::{Node, NodeConfig},
    vault::{Asker, Consistency, HistoryQuery, NewValue, RequestId, UpdateTerms, Which},
};
use covault_model::name::{CallerName, SecretName, SecretPath};
use covault_seal::Plaintext;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let config = NodeConfig { create: true, ..NodeConfig::at(directory.path()) };
    let node = Node::start(config, Arc::new(Machine)).await?;

    let owner = CallerName::parse("billing")?;
    let session = node.local_session(owner.clone()).await.map_err(|refusal| refusal.code())?;
    let asker = Asker { session, request: RequestId::parse("example-1")? };
    let target = SecretPath { owner, name: SecretName::parse("db/password")? };

    let vault = node.vault();
    let value = |text: &str| NewValue {
        value: Plaintext::new(text.as_bytes().to_vec()),
        content_type: None,
        expires_at: None,
        labels: BTreeMap::new(),
        description: None,
    };
    let code = |refusal: covault_model::refusal::Refusal| refusal.code();
    vault.create(&asker, &target, value("first"), None).await.map_err(code)?;
    vault.update(&asker, &target, value("second"), UpdateTerms::default(), None).await.map_err(code)?;

    let opened = vault.read(&asker, &target, Which::Current, Consistency::Local).await.map_err(code)?;
    println!("the current value has {} bytes", opened.value.len());
    let query = HistoryQuery { limit: 10, before: None };
    for version in vault.history(&asker, &target, query).await.map_err(code)?.items {
        println!("version {:?} is {}", version.number, version.state.as_str());
    }
    node.stop().await;
    Ok(())
}
