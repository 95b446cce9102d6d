//! Figures of `make bench`.

/// Runs them.
///
/// # Errors
/// None yet.
pub async fn run(_muster: &std::path::Path, _only: Option<String>) -> anyhow::Result<()> {
    Ok(())
}
