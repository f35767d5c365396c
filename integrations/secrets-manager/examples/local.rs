//! A client for files of this machine, set up by TOML, and a configuration whose references it resolves:
//!
//! ```sh
//! cargo run -p secrets-manager --example local
//! ```

use std::{env, error::Error, fs, process};

use secrets_manager::{Client, SecretsConfig};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Settings {
    database: String,
    workers: u32,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let file = env::temp_dir().join(format!("secrets-manager-example-{}.json", process::id()));
    fs::write(&file, r#"{"db": {"user": "ada", "password": "not for real"}}"#)?;
    let config = SecretsConfig::from_toml(&format!("[[providers]]\ntype = \"local\"\npath = {file:?}\n"))?;
    let client = Client::builder().config(config).build()?;

    let settings = Settings {
        database: "postgres://{{secret:db#user}}:{{secret:db#password}}@localhost/app".into(),
        workers: 4,
    };
    let resolved = client.resolver().resolve_config(&settings).await;
    fs::remove_file(&file)?;
    let resolved = resolved?;
    println!("{} workers, and an address of {} bytes", resolved.workers, resolved.database.len());
    Ok(())
}
