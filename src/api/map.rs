//! `/api/v1/map`: every GPU of the cluster in one compact frame, for the heat map.
//!
//! Columns instead of rows: one entry per node in `nodes`, one entry per GPU, node after node, in `gpus`; about
//! 12 bytes a GPU.

mod cells;

use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use muster_placement::View;
use muster_placement::explain::{Holder, holder};
use muster_placement::ids::{Name, NodeName, PodUid};
use muster_placement::ledger::Claim;
use serde::Serialize;

use self::cells::{Cell, cells};
use super::encoded::Encoded;
use super::fault::Fault;
use super::picture::Pictures;

/// Answers `/api/v1/map`.
pub(super) async fn map(State(pictures): State<Pictures>, request: HeaderMap) -> Result<Response, Fault> {
    pictures.newest().map().answer(&request)
}

/// Encodes a view.
pub(crate) fn encode(view: &View) -> Encoded {
    Encoded::of(&frame(view))
}

/// All GPUs at one moment.
#[derive(Debug, Default, Serialize)]
struct Frame<'v> {
    /// GPU models; `nodes.model` points here.
    models: Vec<&'v str>,
    /// Purposes of nodes, one text per combination; `nodes.pool` points here.
    pools: Vec<String>,
    /// Who has GPUs; `gpus.holder` points here.
    holders: Vec<HolderRow>,
    nodes: Nodes<'v>,
    gpus: Gpus,
}

/// One entry per node that has GPUs, by name.
#[derive(Debug, Default, Serialize)]
struct Nodes<'v> {
    name: Vec<&'v str>,
    /// Position in `models`; -1 where no agent has said.
    model: Vec<i32>,
    /// Position in `pools`.
    pool: Vec<i32>,
    /// Number of entries in `gpus` that are this node's.
    gpus: Vec<usize>,
    /// 1 if cordoned, plus 2 if no agent reports.
    flags: Vec<u8>,
}

/// One entry per GPU, in the order of the nodes and of each node's `gpus` in `/api/v1/nodes/{name}`.
#[derive(Debug, Default, Serialize)]
struct Gpus {
    /// One letter each; see [`cells::Cell::state`].
    state: String,
    /// Percent; -1 where no agent reports.
    utilisation: Vec<i8>,
    /// Memory in use in percent; -1 where no agent reports.
    memory: Vec<i8>,
    /// Position in `holders`; -1 for nobody.
    holder: Vec<i32>,
}

/// Who has GPUs.
#[derive(Debug, Serialize)]
pub(super) struct HolderRow {
    namespace: String,
    kind: String,
    name: String,
}

impl From<&Holder> for HolderRow {
    fn from(holder: &Holder) -> HolderRow {
        let text = |name: &Name| name.as_str().to_owned();
        HolderRow { namespace: text(&holder.namespace), kind: text(&holder.kind), name: text(&holder.name) }
    }
}

fn frame(view: &View) -> Frame<'_> {
    let mut claims: HashMap<&NodeName, Vec<(&PodUid, &Claim)>> = HashMap::new();
    for (uid, claim) in view.claims.iter().filter(|(_, claim)| claim.amount.gpus > 0) {
        claims.entry(&claim.node).or_default().push((uid, claim));
    }
    let mut nodes = Nodes::default();
    let mut gpus = Gpus::default();
    let (mut models, mut pools, mut holders) = (Numbered::new(), Numbered::new(), Numbered::new());
    for state in view.nodes.iter().filter(|state| state.has_gpus()) {
        let first = state.inventory.as_ref().and_then(|inventory| inventory.gpus.first());
        let purposes: Vec<&str> = state.purposes.iter().map(Name::as_str).collect();
        let here = claims.get(&state.node.name).map_or(&[][..], Vec::as_slice);
        let cells = cells(state, here);
        nodes.name.push(state.node.name.as_str());
        nodes.model.push(first.map_or(-1, |gpu| models.of(gpu.model.as_str())));
        nodes.pool.push(pools.of(purposes.join(", ")));
        nodes.gpus.push(cells.len());
        nodes.flags.push(u8::from(state.node.cordoned) + 2 * u8::from(state.inventory.is_none()));
        for Cell { state, utilisation, memory, pod } in cells {
            gpus.state.push(state);
            gpus.utilisation.push(utilisation);
            gpus.memory.push(memory);
            gpus.holder.push(pod.and_then(|pod| holder(view, pod)).map_or(-1, |who| holders.of(who)));
        }
    }
    let holders = holders.in_order().iter().map(HolderRow::from).collect();
    Frame { models: models.in_order(), pools: pools.in_order(), holders, nodes, gpus }
}

/// Numbers things in the order in which they first appear.
struct Numbered<K>(BTreeMap<K, i32>);

impl<K: Ord> Numbered<K> {
    fn new() -> Self {
        Numbered(BTreeMap::new())
    }

    fn of(&mut self, thing: K) -> i32 {
        let next = i32::try_from(self.0.len()).unwrap_or(i32::MAX);
        *self.0.entry(thing).or_insert(next)
    }

    fn in_order(self) -> Vec<K> {
        let mut things: Vec<(K, i32)> = self.0.into_iter().collect();
        things.sort_by_key(|(_, number)| *number);
        things.into_iter().map(|(thing, _)| thing).collect()
    }
}
