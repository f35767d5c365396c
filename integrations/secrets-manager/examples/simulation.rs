//! A client before a simulated store that fails twice, and what was asked of the store:
//!
//! ```sh
//! cargo run -p secrets-manager --example simulation
//! ```

use std::{error::Error, sync::Arc};

use secrets_manager::{
    Client, SecretsClient,
    simulation::{Fault, ScheduledFault, SimulationProvider},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(SimulationProvider::default());
    store.set_mock_secret("app/db", r#"{"user":"ada","password":"made up"}"#);
    store.set_faults(vec![ScheduledFault::first(2, Fault::Unavailable { retry_after: None })])?;
    let client = Client::builder().provider(store.clone()).build()?;

    let line =
        client.resolve_references("postgres://{{secret:app/db#user}}:{{secret:app/db#password}}@db").await?;
    println!("resolved to {} bytes", line.len());
    let error = client.resolve_references("{{secret:app/db#user}} {{secret:app/no}}").await;
    println!("{}", error.expect_err("there is no such secret"));
    for record in store.get_access_log() {
        println!("{:?}: {}", record.question.path(), record.error.unwrap_or("answered"));
    }
    Ok(())
}
