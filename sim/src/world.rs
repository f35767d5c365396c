//! A world: machines and clients on one network with one clock, stepped from outside, harmed as the plan says, made good,
//! and given time to recover. What happened comes out as a story. Knows nothing of rules.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use turmoil::{Builder, Sim};

use crate::{
    actors,
    chance::Chance,
    checkers::testimony::values,
    desk::{Desk, Office},
    fault::Fault,
    inspection::{self, inspect, plaintext::Forms},
    interpose,
    journal::Journal,
    links::Links,
    machine::Machine,
    memory, operator,
    plan::Plan,
    story::{Story, What},
    weather::Weather,
};

const TICK: Duration = Duration::from_millis(1);
/// The longest that the cluster may take to become whole.
const WHOLE_WITHIN_MS: u64 = 120_000;
/// The longest that a rolling restart may go on after all else was made good.
const ROLL_ON_MS: u64 = 60_000;
/// The longest that it may take to take a node away after all else was made good.
const TAKEN_AWAY_WITHIN_MS: u64 = 60_000;
/// How long clients work on after everything was made good, without haste.
const WORK_ON_MS: u64 = 15_000;
/// The longest that nodes may take to stop in the end.
const STOP_WITHIN_MS: u64 = 30_000;
/// How often the machine looks whether something has ended: to ask costs more than a step of an idle world.
const LOOK_EVERY_MS: u64 = 10;
/// How long the machine lets lie what has ended by itself before it starts it again.
const START_AGAIN_AFTER_MS: u64 = 500;
/// How long nobody listens after the clients have left, and how long somebody listens then to what nodes that have
/// nothing to do send each other.
const LISTEN_MS: u64 = 10_000;
/// How often it is looked how much memory the world has.
const WEIGH_EVERY_MS: u64 = 1_000;

/// Why there is no story.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The simulator's own.
    #[error("the simulation ended: {0}")]
    Ended(String),
    /// The cluster did not become whole before any harm was done.
    #[error("the cluster was not whole within {WHOLE_WITHIN_MS} ms")]
    NeverWhole,
    /// A node that was to be taken away is a member still.
    #[error("a node was not taken away within {TAKEN_AWAY_WITHIN_MS} ms")]
    NeverTakenAway,
    /// A node did not stop.
    #[error("the nodes did not stop within {STOP_WITHIN_MS} ms")]
    NeverStopped,
    /// The machine that simulates.
    #[error("the files of a world: {0}")]
    Files(#[from] std::io::Error),
}

/// The folder of a world's files that has the nodes' logs.
pub const LOGS: &str = "logs";

struct World {
    sim: Sim<'static>,
    plan: Plan,
    machines: Vec<Machine>,
    office: Arc<Office>,
    weather: Weather,
    links: Links,
    /// What a power cut leaves of what was not synced.
    fate: Chance,
    /// By harm, whether it has begun and whether it has ended.
    harms: Vec<State>,
    /// Since when a machine's node has been down, in milliseconds, when nobody took it down.
    ended_ms: Vec<Option<u64>>,
    /// Machines that are still to be started again in a rolling restart.
    rolling: VecDeque<usize>,
    /// When it was seen that a node was taken away that still runs, in milliseconds.
    gone_ms: Option<u64>,
    /// Machines that are to stay down for now.
    held_down: Vec<u32>,
    whole_ms: u64,
    /// The most memory that the process has had so far.
    memory_bytes: u64,
    /// What nodes sent each other that had nothing to do.
    idle_packets_per_s: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waits,
    Lasts,
    Over,
}

/// Runs a plan, with all files under `root`.
pub fn run(plan: Plan, root: &Path, journal: Journal) -> Result<Story, WorldError> {
    let mut world = World::new(plan, root, journal)?;
    world.become_whole()?;
    world.be_harmed()?;
    world.recover()?;
    world.stop()?;
    Ok(world.tell(&root.join(LOGS)))
}

impl World {
    fn new(plan: Plan, root: &Path, journal: Journal) -> Result<Self, WorldError> {
        let (least, most) = plan.latency_ms;
        let mut sim = Builder::new()
            .rng_seed(plan.seed)
            .tick_duration(TICK)
            .simulation_duration(Duration::from_secs(3600))
            .min_message_latency(Duration::from_millis(least))
            .max_message_latency(Duration::from_millis(most))
            .udp_capacity(1 << 14)
            .tcp_capacity(1 << 12)
            .build();
        let weather =
            Weather::new(Chance::of(plan.seed, "weather"), journal.clone(), plan.lost, plan.doubled);
        let machine = |place| Machine::new(&plan, place, root, weather.clone(), journal.clone());
        let machines = (0..plan.nodes).map(machine).collect::<Result<Vec<Machine>, _>>()?;
        for machine in &machines {
            let at = machine.clone();
            sim.host(machine.name(), move || at.clone().run());
        }
        let office = Office::new(plan.clone(), journal, weather.clone());
        let (shared, all) = (office.clone(), machines.clone());
        sim.client("clients", async move {
            operator::run(shared, all, hire).await;
            Ok(())
        });
        let links = Links::new(&plan);
        Ok(Self {
            sim,
            fate: Chance::of(plan.seed, "what a power cut leaves"),
            harms: vec![State::Waits; plan.harms.len()],
            ended_ms: vec![None; plan.nodes],
            rolling: VecDeque::new(),
            gone_ms: None,
            held_down: vec![0; plan.nodes],
            whole_ms: 0,
            memory_bytes: 0,
            idle_packets_per_s: 0,
            plan,
            machines,
            office,
            weather,
            links,
        })
    }

    fn step(&mut self) -> Result<(), WorldError> {
        interpose::set_elapsed(self.sim.elapsed());
        self.sim.step().map_err(|error| WorldError::Ended(error.to_string()))?;
        self.start_again();
        self.roll();
        self.weigh()
    }

    fn weigh(&mut self) -> Result<(), WorldError> {
        if self.now_ms().is_multiple_of(WEIGH_EVERY_MS) {
            self.memory_bytes = self.memory_bytes.max(memory::own_bytes()?);
        }
        Ok(())
    }

    fn now_ms(&self) -> u64 {
        self.sim.elapsed().as_millis() as u64
    }

    /// Starts what has ended by itself, or was told to stop, as a service manager does.
    fn start_again(&mut self) {
        let now = self.now_ms();
        if !now.is_multiple_of(LOOK_EVERY_MS) {
            return;
        }
        for (place, machine) in self.machines.iter().enumerate() {
            if self.held_down[place] > 0 || self.sim.is_host_running(machine.name()) {
                self.ended_ms[place] = None;
            } else if now >= *self.ended_ms[place].get_or_insert(now) + START_AGAIN_AFTER_MS {
                // One that ends at once, before anybody sees it run, waits as long for the next time.
                self.ended_ms[place] = None;
                self.sim.bounce(machine.name());
            }
        }
    }

    fn all_serve(&self) -> bool {
        self.machines.iter().all(Machine::serves)
    }

    /// Goes on with a rolling restart, once all machines serve.
    fn roll(&mut self) {
        if !self.rolling.is_empty()
            && self.all_serve()
            && let Some(node) = self.rolling.pop_front()
        {
            self.machines[node].stop();
        }
    }

    fn become_whole(&mut self) -> Result<(), WorldError> {
        while !self.office.is_whole() {
            if WHOLE_WITHIN_MS < self.now_ms() {
                return Err(WorldError::NeverWhole);
            }
            self.step()?;
        }
        self.whole_ms = self.now_ms();
        Ok(())
    }

    /// Harms, until all of it is over.
    fn be_harmed(&mut self) -> Result<(), WorldError> {
        let until = self.whole_ms + self.plan.harm_ms;
        while self.now_ms() < until || self.harms.iter().any(|state| *state != State::Over) {
            let at_ms = self.now_ms() - self.whole_ms;
            for which in 0..self.harms.len() {
                let harm = &self.plan.harms[which];
                let (begins, ends) = (harm.at_ms, harm.at_ms + harm.for_ms);
                match self.harms[which] {
                    State::Waits if begins <= at_ms => self.begin(which)?,
                    State::Lasts if ends <= at_ms || self.is_leaving(which) => self.end(which)?,
                    _ => {}
                }
            }
            self.step()?;
            if until + TAKEN_AWAY_WITHIN_MS < self.now_ms() {
                return Err(WorldError::NeverTakenAway);
            }
        }
        self.roll_on()?;
        self.office.journal.note_at(self.sim.elapsed(), What::Healed);
        Ok(())
    }

    /// Lets a rolling restart come to its end. One that waits in vain for a node to serve is given up, for the rules to see.
    fn roll_on(&mut self) -> Result<(), WorldError> {
        if self.rolling.is_empty() {
            return Ok(());
        }
        let until = self.now_ms() + ROLL_ON_MS;
        while self.now_ms() < until && !(self.rolling.is_empty() && self.all_serve()) {
            self.step()?;
        }
        self.rolling.clear();
        Ok(())
    }

    fn begin(&mut self, which: usize) -> Result<(), WorldError> {
        self.harms[which] = State::Lasts;
        let fault = self.plan.harms[which].fault.clone();
        if let Fault::Replace(node) | Fault::Remove(node) = fault
            && !self.may_lose(node)
        {
            self.harms[which] = State::Over;
            return Ok(());
        }
        self.office.journal.note_at(self.sim.elapsed(), What::Harmed(fault.clone()));
        match &fault {
            Fault::Crash(node) => self.crash(*node)?,
            Fault::CrashAll => (0..self.plan.nodes).try_for_each(|node| self.crash(node))?,
            Fault::Restart(node) => self.machines[*node].stop(),
            Fault::Rolling => self.rolling.extend(0..self.plan.nodes),
            Fault::Replace(node) => {
                self.crash(*node)?;
                self.machines[*node].disk().wipe()?;
                self.machines[*node].lose();
                self.office.replacing.store(true, Ordering::Relaxed);
            }
            Fault::Remove(node) => {
                self.machines[*node].leave();
                self.office.replacing.store(true, Ordering::Relaxed);
            }
            Fault::Full(node) => self.machines[*node].disk().fill(0)?,
            Fault::Clock(node, by_ms) => self.machines[*node].step_clock(*by_ms),
            Fault::Lossy(lost) => self.weather.lose(*lost),
            Fault::Island(_) | Fault::Deaf(..) | Fault::Mute(_) | Fault::Slow(..) => {}
        }
        self.lay_links();
        Ok(())
    }

    /// Whether the cluster can do without a machine for ever: the others all serve, and nobody else is on the way out or in.
    /// A majority that is lost with its disks is beyond what a cluster comes back from by itself.
    fn may_lose(&self, lost: usize) -> bool {
        let others = self.machines.iter().enumerate().filter(|(node, _)| *node != lost);
        let mut serving = others.map(|(_, machine)| machine.serves());
        serving.all(|serves| serves) && !self.office.replacing.load(Ordering::Relaxed)
    }

    fn end(&mut self, which: usize) -> Result<(), WorldError> {
        let fault = self.plan.harms[which].fault.clone();
        if let Fault::Remove(node) = fault {
            if !self.has_been_gone(node, self.plan.harms[which].for_ms) {
                return Ok(());
            }
            self.crash(node)?;
            self.machines[node].disk().wipe()?;
            self.machines[node].clear();
        }
        self.harms[which] = State::Over;
        match &fault {
            Fault::Crash(node) | Fault::Replace(node) | Fault::Remove(node) => self.power_up(*node),
            Fault::CrashAll => (0..self.plan.nodes).for_each(|node| self.power_up(node)),
            Fault::Clock(node, by_ms) => self.machines[*node].step_clock(-by_ms),
            Fault::Lossy(_) => self.weather.lose(self.plan.lost),
            Fault::Full(node) => self.machines[*node].disk().free(),
            _ => {}
        }
        self.lay_links();
        self.office.journal.note_at(self.sim.elapsed(), What::Mended(fault));
        Ok(())
    }

    /// Whether a harm is that a node is taken away, which lasts from when that was done.
    fn is_leaving(&self, which: usize) -> bool {
        matches!(self.plan.harms[which].fault, Fault::Remove(_))
    }

    /// Whether a node was taken away so long ago. It is no more than one at a time.
    fn has_been_gone(&mut self, node: usize, for_ms: u64) -> bool {
        let now = self.now_ms();
        if !self.machines[node].is_gone() {
            self.gone_ms = None;
            return false;
        }
        *self.gone_ms.get_or_insert(now) + for_ms <= now
    }

    /// Cuts and slows the links as everything that lasts now has it.
    fn lay_links(&mut self) {
        let lasting = |(state, harm): (&State, _)| (*state == State::Lasts).then_some(harm);
        let harms = self.harms.iter().zip(&self.plan.harms).filter_map(lasting);
        let faults: Vec<&Fault> = harms.map(|harm| &harm.fault).collect();
        self.links.lay(&self.sim, &faults);
    }

    /// Cuts the power. What was not synced is gone, whatever the node still does while it is dropped.
    fn crash(&mut self, node: usize) -> Result<(), WorldError> {
        self.held_down[node] += 1;
        let machine = &self.machines[node];
        machine.goes_down();
        machine.disk().crash();
        self.sim.crash(machine.name());
        machine.disk().restart(self.fate.stream())?;
        self.office.journal.note_at(self.sim.elapsed(), What::Stopped { node });
        Ok(())
    }

    fn power_up(&mut self, node: usize) {
        self.held_down[node] -= 1;
    }

    /// Lets everything recover, with the clients at work for the first part of that time.
    fn recover(&mut self) -> Result<(), WorldError> {
        let (clients_leave, end) = (self.now_ms() + WORK_ON_MS, self.now_ms() + self.plan.heal_ms);
        self.office.calm.store(true, Ordering::Relaxed);
        self.step_until(clients_leave.min(end))?;
        if clients_leave < end {
            self.office.open.store(false, Ordering::Relaxed);
        }
        if clients_leave + 2 * LISTEN_MS <= end {
            self.step_until(end - LISTEN_MS)?;
            let (_, before) = self.office.journal.digest();
            self.step_until(end)?;
            let (_, after) = self.office.journal.digest();
            self.idle_packets_per_s = (after - before) * 1000 / LISTEN_MS;
        }
        self.step_until(end)?;
        self.note_who_does_not_serve();
        Ok(())
    }

    fn note_who_does_not_serve(&self) {
        for machine in self.machines.iter().filter(|machine| !machine.serves()) {
            let (node, why) = (machine.place(), "it does not serve in the end".to_owned());
            self.office.journal.note_at(self.sim.elapsed(), What::Failed { node, why });
        }
    }

    fn step_until(&mut self, until_ms: u64) -> Result<(), WorldError> {
        while self.now_ms() < until_ms {
            self.step()?;
        }
        Ok(())
    }

    /// Stops all nodes in order.
    fn stop(&mut self) -> Result<(), WorldError> {
        let until = self.now_ms() + STOP_WITHIN_MS;
        for (place, machine) in self.machines.iter().enumerate() {
            self.held_down[place] += 1;
            machine.stop();
        }
        while self.machines.iter().any(|machine| self.sim.is_host_running(machine.name())) {
            if until < self.now_ms() {
                return Err(WorldError::NeverStopped);
            }
            self.step()?;
        }
        Ok(())
    }

    fn tell(self, logs: &Path) -> Story {
        let Self { sim, plan, machines, office, memory_bytes, idle_packets_per_s, .. } = self;
        // What a node that has stopped has left running, such as a client's connection, may still hold its files.
        drop(sim);
        let (digest, _) = office.journal.digest();
        let events = office.journal.events();
        let (kept, logged) = (Vec::new(), Vec::new());
        let mut story = Story { plan, events, kept, logged, memory_bytes, idle_packets_per_s, digest };
        let operations = story.operations();
        let forms = Forms::of(values(&operations).iter().copied());
        let keep = |machine: &Machine| {
            let mut kept = inspect(machine.data(), machine.keys(), &forms);
            kept.wrong.iter_mut().for_each(|said| *said = machine.without_folder(said));
            kept
        };
        let logged = inspection::logged(logs, &forms);
        let kept = machines.iter().map(keep).collect();
        (story.logged, story.kept) = (logged, kept);
        story
    }
}

/// Has the clients begin to work.
fn hire(desks: Vec<Desk>) {
    for desk in desks {
        tokio::task::spawn_local(actors::work(desk));
    }
}
