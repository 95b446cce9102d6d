//! The nodes of a replay and the domains that they lie in.

/// A node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Name.
    pub(crate) name: String,
    /// GPUs.
    pub(crate) gpus: u64,
    /// The domain it is in at each level of the site, widest first.
    pub(crate) domains: Vec<String>,
}

impl Spot {
    /// Its domain at a level, with those around it: equal names in two blocks are two racks. Below the last level the
    /// node itself.
    pub(crate) fn domain(&self, level: usize) -> (&[String], &str) {
        match self.domains.get(..=level) {
            Some(path) => (path, ""),
            None => (&self.domains, &self.name),
        }
    }
}

/// What is counted on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Unit {
    /// GPUs.
    #[default]
    Gpu,
    /// Quarters of a core, on nodes without GPUs.
    QuarterCore,
}

/// All nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Site {
    /// Nodes in order of name.
    pub(crate) spots: Vec<Spot>,
    /// Label keys of the levels, widest first.
    pub(crate) levels: Vec<&'static str>,
    /// What is counted.
    pub(crate) unit: Unit,
    /// Whether spread is reckoned for every job that starts, which takes a look at all nodes.
    pub(crate) judged: bool,
}

impl Site {
    /// So many equal nodes, all equally far from each other.
    pub(crate) fn flat(nodes: usize, gpus: u64) -> Site {
        let spot = |at| Spot { name: format!("node-{at:05}"), gpus, domains: Vec::new() };
        Site { spots: (0..nodes).map(spot).collect(), levels: Vec::new(), unit: Unit::Gpu, judged: false }
    }

    /// GPUs of all nodes.
    pub(crate) fn gpus(&self) -> u64 {
        self.spots.iter().map(|spot| spot.gpus).sum()
    }
}
