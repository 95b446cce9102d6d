//! Flags of `muster demo`.

use std::net::{Ipv4Addr, SocketAddr};

use clap::Args;

/// Flags of `muster demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoFlags {
    /// Loopback address and port of dashboard, API, metrics and extender verbs
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = DEFAULT_LISTEN)]
    pub listen: SocketAddr,
    /// Seed of the world: which jobs come, which nodes are taken among equals
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Print no table, only a line now and then and the summary at the end
    #[arg(long)]
    pub headless: bool,
    /// End after so many seconds with a summary, and with a non-zero status if a safety rule broke
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,
}

const DEFAULT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);

impl Default for DemoFlags {
    fn default() -> Self {
        DemoFlags { listen: DEFAULT_LISTEN, seed: 1, headless: false, seconds: None }
    }
}
