//! Muster's watches, one per kind of object: each keeps its own order, one may lag behind the others, and each may
//! be cut, as by a 410 Gone. A watch that was cut lists its objects at one moment and then hears of everything that
//! changed since; what the list lacks is gone.
//!
//! Invariant: what a watch tells is never older than what it has told before. The list of an API server that lags
//! behind would be older; it is withheld, as kube's consistent lists withhold it.

use std::collections::BTreeSet;

use muster_placement::Event;
use muster_placement::ids::{GangId, NodeName, PodUid};
use muster_placement::time::{Span, Time};

use super::{Happening, Muster, World};

/// How old the list is that a lagging API server would answer with.
const LAGS_BY: Span = Span(20_000);

/// What a watch watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nodes.
    Nodes,
    /// Owners of gangs.
    Owners,
    /// Pods.
    Pods,
}

/// Name of a watched object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Node(NodeName),
    Owner(GangId),
    Pod(PodUid),
}

/// One watch.
#[derive(Debug, Default)]
struct Watch {
    /// When the last news on their way arrive.
    until: Time,
    /// Cut, and has not listed again.
    cut: bool,
    /// Objects that Muster was told of.
    known: BTreeSet<Key>,
    /// What there was some time ago.
    old: (Time, Vec<Event>),
}

/// All watches.
#[derive(Debug, Default)]
pub(crate) struct Watches([Watch; 3]);

impl Watches {
    fn of(&mut self, kind: Kind) -> &mut Watch {
        let [nodes, owners, pods] = &mut self.0;
        match kind {
            Kind::Nodes => nodes,
            Kind::Owners => owners,
            Kind::Pods => pods,
        }
    }

    /// Whether Muster has been told of a node.
    pub(crate) fn knows(&self, node: &NodeName) -> bool {
        let [nodes, ..] = &self.0;
        nodes.known.contains(&Key::Node(node.clone()))
    }
}

impl Watch {
    fn note(&mut self, event: &Event) {
        match key_of(event) {
            Some((key, true)) => drop(self.known.insert(key)),
            Some((key, false)) => drop(self.known.remove(&key)),
            None => {}
        }
    }
}

fn kind_of(event: &Event) -> Option<Kind> {
    key_of(event).map(|(key, _)| match key {
        Key::Node(_) => Kind::Nodes,
        Key::Owner(_) => Kind::Owners,
        Key::Pod(_) => Kind::Pods,
    })
}

/// The object that an event is about, and whether it is there.
fn key_of(event: &Event) -> Option<(Key, bool)> {
    match event {
        Event::NodeSeen(node) => Some((Key::Node(node.name.clone()), true)),
        Event::NodeGone(name) => Some((Key::Node(name.clone()), false)),
        Event::GangSeen(spec) => Some((Key::Owner(spec.id.clone()), true)),
        Event::GangGone(id) => Some((Key::Owner(id.clone()), false)),
        Event::PodSeen(pod) => Some((Key::Pod(pod.uid.clone()), true)),
        Event::PodGone(uid) => Some((Key::Pod(uid.clone()), false)),
        _ => None,
    }
}

fn gone(key: Key) -> Event {
    match key {
        Key::Node(name) => Event::NodeGone(name),
        Key::Owner(id) => Event::GangGone(id),
        Key::Pod(uid) => Event::PodGone(uid),
    }
}

impl World {
    /// Everything that there is, as a client that starts lists it.
    pub(crate) fn relist(&mut self, muster: &mut dyn Muster) {
        // What is still on its way is older than the lists.
        let outdated = |what: &Happening| {
            matches!(what, Happening::Watch(..) | Happening::List(_) | Happening::Listed(..))
        };
        self.agenda.retain(|what| !outdated(what));
        for kind in [Kind::Nodes, Kind::Owners, Kind::Pods] {
            let events = self.snapshot(kind);
            let watch = self.watches.of(kind);
            *watch = Watch { until: self.now, old: std::mem::take(&mut watch.old), ..Watch::default() };
            for event in events {
                self.watches.of(kind).note(&event);
                muster.tell(event);
            }
        }
        muster.tell(Event::Synced);
    }

    fn snapshot(&self, kind: Kind) -> Vec<Event> {
        let here = self.machines.values().filter(|machine| machine.present);
        match kind {
            Kind::Nodes => here.map(|machine| Event::NodeSeen(Box::new(machine.node.clone()))).collect(),
            Kind::Owners => self.owners.values().cloned().map(Event::GangSeen).collect(),
            Kind::Pods => self.pods.values().map(|pod| Event::PodSeen(Box::new(pod.clone()))).collect(),
        }
    }

    /// Sends news to the watch of their kind, behind all its news before.
    pub(crate) fn watch(&mut self, event: Event) {
        let Some(kind) = kind_of(&event) else { return };
        let delay = self.network.span(1, self.weather.watch_lag_ms.max(12));
        let now = self.now;
        let watch = self.watches.of(kind);
        if watch.cut {
            return;
        }
        let at = now.after(delay).max(watch.until);
        watch.until = at;
        self.agenda.add(at, Happening::Watch(kind, Box::new(event)));
    }

    /// News arrive.
    pub(crate) fn news(&mut self, kind: Kind, event: Event, muster: &mut dyn Muster) {
        self.watches.of(kind).note(&event);
        muster.tell(event);
    }

    /// A connection breaks; what was on its way is lost.
    pub(crate) fn cut(&mut self, kind: Kind, span: Span) {
        let lost = |what: &Happening| match what {
            Happening::Watch(other, _) | Happening::Listed(other, _) | Happening::List(other) => {
                *other == kind
            }
            _ => false,
        };
        self.agenda.retain(|what| !lost(what));
        self.watches.of(kind).cut = true;
        self.after(span, Happening::List(kind));
    }

    /// The list is read at this moment; news from here on follow it.
    pub(crate) fn list(&mut self, kind: Kind) {
        let events = self.snapshot(kind);
        let at = self.now.after(self.network.span(5, 300));
        let watch = self.watches.of(kind);
        watch.cut = false;
        watch.until = at;
        self.agenda.add(at, Happening::Listed(kind, events));
    }

    /// The list arrives: what it has is so, what it lacks is gone.
    pub(crate) fn listed(&mut self, kind: Kind, events: Vec<Event>, muster: &mut dyn Muster) {
        self.tally.relists += 1;
        let listed: BTreeSet<Key> = events.iter().filter_map(|event| Some(key_of(event)?.0)).collect();
        let watch = self.watches.of(kind);
        let missing: Vec<Key> = watch.known.difference(&listed).cloned().collect();
        watch.known.clone_from(&listed);
        let (_, old) = std::mem::take(&mut watch.old);
        for event in missing.into_iter().map(gone).chain(events) {
            muster.tell(event);
        }
        let before: BTreeSet<Key> = old.iter().filter_map(|event| Some(key_of(event)?.0)).collect();
        for event in listed.difference(&before).cloned().map(gone).chain(old) {
            muster.withhold(event);
        }
    }

    /// Keeps what there is for a list that lags behind.
    pub(crate) fn remember(&mut self) {
        for kind in [Kind::Nodes, Kind::Owners, Kind::Pods] {
            let (since, old) = &self.watches.of(kind).old;
            if old.is_empty() || self.now.since(*since) >= LAGS_BY {
                let events = self.snapshot(kind);
                self.watches.of(kind).old = (self.now, events);
            }
        }
    }
}
