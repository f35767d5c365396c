//! The two services as processes of their own: three `covault vault`, which agree, and `covault api` before them.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};

use super::{
    Client, Place, Process,
    command::run,
    eventually,
    joining::{invite, join, until_all_vote},
    process::bare_command,
};

/// Three vault processes and what they need.
pub struct Vaults {
    places: Vec<Place>,
    processes: Vec<Process>,
}

/// An API process, its directory and what it said when it was ready.
pub struct Api {
    place: Place,
    process: Process,
    ready: Value,
}

impl Vaults {
    /// A new cluster of three, made with nodes that have HTTP, which then make way for ones without; and an API
    /// process that was invited before.
    pub fn start() -> (Self, Api) {
        let (first, founder) = founded();
        let admin = first.admin();
        let mut places = vec![first];
        let mut nodes = vec![founder];
        for _ in 0..2 {
            let place = places[0].elsewhere();
            join(&place, &invite(&admin)).expect(0);
            fs::copy(places[0].keyring(), place.keyring()).unwrap();
            nodes.push(super::joining::start(&place));
            places.push(place);
        }
        until_all_vote(&admin, 3);
        let api = places[0].elsewhere();
        join_api(&api, &invite_api(&admin)).expect(0);
        for node in &mut nodes {
            node.ask_to_stop();
            assert!(node.wait().success(), "{}", node.output());
        }
        let text = format!("data = {:?}\n{}", places[0].data(), quic(&places[0]));
        fs::write(places[0].path("joined.toml"), text).unwrap();
        let mut vaults = Self { places, processes: Vec::new() };
        vaults.processes = (0..3).map(|number| vaults.launch(number)).collect();
        (0..3).for_each(|number| vaults.until_ready(number));
        let api = Api::start(api);
        api.until_ready();
        (vaults, api)
    }

    /// A place for another API process, let in through the one that serves already.
    pub fn another_api(&self, api: &Api) -> Api {
        let place = self.places[0].elsewhere();
        join_api(&place, &invite_api(&api.admin())).expect(0);
        let api = Api::start(place);
        api.until_ready();
        api
    }

    /// Kills a vault process.
    pub fn kill(&mut self, number: usize) {
        self.processes[number].kill_hard();
    }

    /// Asks a vault process to stop, and waits for it.
    pub fn stop(&mut self, number: usize) {
        self.processes[number].ask_to_stop();
        let status = self.processes[number].wait();
        assert!(status.success(), "{}", self.processes[number].output());
    }

    /// Starts one again, and waits until it serves.
    pub fn restart(&mut self, number: usize) {
        self.processes[number] = self.launch(number);
        self.until_ready(number);
    }

    fn launch(&self, number: usize) -> Process {
        let place = &self.places[number];
        let ready = place.path("vault-ready.json");
        // The file of an earlier start must not be taken for this one's.
        let _ = fs::remove_file(&ready);
        let mut command = bare_command();
        command.arg("vault").arg("--config").arg(place.path("joined.toml"));
        command.arg("--ready-file").arg(&ready);
        Process::start(command, &place.path("logs")).expect("the binary starts")
    }

    fn until_ready(&mut self, number: usize) {
        let (process, ready) = (&mut self.processes[number], self.places[number].path("vault-ready.json"));
        eventually("the vault process to serve", || {
            assert!(process.ended().is_none(), "it ended: {}", process.output());
            serde_json::from_slice::<Value>(&fs::read(&ready).ok()?).ok()
        });
    }
}

impl Api {
    /// Starts `covault api` in a place that was let in, and waits until it answers.
    pub fn start(place: Place) -> Self {
        let (process, ready) = launch(&place);
        Self { place, process, ready }
    }

    /// Kills it as a power cut would, and starts it again.
    pub fn kill_and_restart(&mut self) {
        self.process.kill_hard();
        (self.process, self.ready) = launch(&self.place);
    }

    /// Waits until a vault node that has a majority answers it.
    pub fn until_ready(&self) {
        let client = self.stranger();
        eventually("the API process to be ready", || (client.get("/ready").status == 200).then_some(()));
    }

    /// A client with the first admin's token.
    pub fn admin(&self) -> Client {
        Client::new(&self.url(), Some(self.place.admin().token()))
    }

    /// A client without a token.
    pub fn stranger(&self) -> Client {
        Client::new(&self.url(), None)
    }

    /// Its key.
    pub fn id(&self) -> String {
        self.ready["api"]["id"].as_str().expect("its key").to_owned()
    }

    /// Its directory.
    pub fn data(&self) -> PathBuf {
        self.place.data()
    }

    /// What it wrote.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Ends it; what is left is its place.
    pub fn into_place(self) -> Place {
        self.place
    }

    fn url(&self) -> String {
        self.ready["api"]["url"].as_str().expect("a url").to_owned()
    }
}

/// A cluster of one whose node has HTTP, and a port of its own for peers.
pub fn founded() -> (Place, Process) {
    let place = Place::initialised();
    let node = place.serve(&quic(&place), &[]);
    (place, node)
}

/// The same number for UDP as for TCP: nobody else is given it.
fn quic(place: &Place) -> String {
    format!("[quic]\nlisten = \"127.0.0.1:{}\"\n", place.port())
}

/// A join token for one API process.
pub fn invite_api(admin: &Client) -> String {
    admin.post("/v1/invitations", &json!({"role": "api"})).expect(201).text("/token")
}

/// Runs `covault join --api` with this token on standard input.
pub fn join_api(place: &Place, token: &str) -> super::Done {
    let (data, config) = (place.data(), place.path("api.toml"));
    let arguments = ["join", "--api", "--json", "--listen", "127.0.0.1:0"];
    let paths = ["--data", data.to_str().unwrap(), "--config-out", config.to_str().unwrap()];
    run(&[&arguments[..], &paths].concat(), token.as_bytes(), &[])
}

fn launch(place: &Place) -> (Process, Value) {
    let ready = place.path("api-ready.json");
    let _ = fs::remove_file(&ready);
    let mut command = bare_command();
    command.arg("api").arg("--config").arg(place.path("api.toml")).arg("--ready-file").arg(&ready);
    let mut process = Process::start(command, &place.path("logs")).expect("the binary starts");
    let told = eventually("the API process to serve", || {
        assert!(process.ended().is_none(), "it ended: {}", process.output());
        serde_json::from_slice(&fs::read(&ready).ok()?).ok()
    });
    (process, told)
}
