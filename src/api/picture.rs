//! What has changed since somebody last looked. The view's version rises with every event, the clock's ticks
//! among them; a page that is drawn again must have something new on it.
//!
//! Shared by all who look, so that a version is compared and encoded once, however many look. Knows the
//! parts of a view by their `Arc`s: a part that was not touched is the same allocation.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use muster_placement::View;

use super::encoded::Encoded;
use super::{gangs, map};
use crate::engine::Handle;

/// The last view with something new in it.
pub(crate) struct Picture {
    view: Arc<View>,
    map: OnceLock<Encoded>,
    gangs: OnceLock<Encoded>,
}

impl Picture {
    fn new(view: Arc<View>) -> Arc<Picture> {
        Arc::new(Picture { view, map: OnceLock::new(), gangs: OnceLock::new() })
    }

    /// Version of the view that brought something new.
    pub(crate) fn version(&self) -> u64 {
        self.view.version
    }

    /// The map, encoded when it is first asked for.
    pub(crate) fn map(&self) -> &Encoded {
        self.map.get_or_init(|| map::encode(&self.view))
    }

    /// The gangs, encoded when they are first asked for.
    pub(crate) fn gangs(&self) -> &Encoded {
        self.gangs.get_or_init(|| gangs::encode(&self.view))
    }
}

/// Gives the newest picture. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Pictures {
    pub(crate) engine: Handle,
    last: Arc<Mutex<Last>>,
}

struct Last {
    picture: Arc<Picture>,
    /// The newest version that was compared.
    seen: u64,
}

impl Pictures {
    pub(crate) fn new(engine: Handle) -> Pictures {
        let view = engine.view();
        let seen = view.version;
        let picture = Picture::new(view);
        Pictures { engine, last: Arc::new(Mutex::new(Last { picture, seen })) }
    }

    /// The newest picture; the same as before while nothing is new.
    pub(crate) fn newest(&self) -> Arc<Picture> {
        // Whoever panicked while holding the lock left a whole picture behind.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.engine.view();
        if view.version != last.seen {
            last.seen = view.version;
            if !same(&view, &last.picture.view) {
                last.picture = Picture::new(view);
            }
        }
        last.picture.clone()
    }
}

/// Whether two views show the same.
fn same(a: &View, b: &View) -> bool {
    a.ready == b.ready
        && all_same(a.nodes.iter(), b.nodes.iter())
        && all_same(a.gangs.values(), b.gangs.values())
        && all_same(a.pods.values(), b.pods.values())
        && all_same(a.claims.values(), b.claims.values())
}

fn all_same<'a, T: 'a>(
    mut a: impl Iterator<Item = &'a Arc<T>>,
    mut b: impl Iterator<Item = &'a Arc<T>>,
) -> bool {
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}
