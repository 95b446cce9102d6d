//! Means, spreads, and the interval of a paired difference: seeds are pairs, since both policies do the same work.

/// Mean; not a number of nothing.
#[expect(clippy::cast_precision_loss, reason = "a count of seeds")]
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard deviation of a sample (n − 1); 0 for fewer than two values.
#[expect(clippy::cast_precision_loss, reason = "a count of seeds")]
pub fn deviation(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    (squares / (values.len() - 1) as f64).sqrt()
}

/// The value below which so large a share of the values lies (nearest rank).
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a list"
)]
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

/// Mean of the paired differences and half the width of its 95 % interval (Student's t).
#[expect(clippy::cast_precision_loss, reason = "a count of seeds")]
pub fn paired(ours: &[f64], theirs: &[f64]) -> (f64, f64) {
    let differences: Vec<f64> = ours.iter().zip(theirs).map(|(a, b)| a - b).collect();
    let half = student(differences.len()) * deviation(&differences) / (differences.len() as f64).sqrt();
    (mean(&differences), half)
}

/// Two-sided 95 % point of Student's t for so many pairs; from ten tables' worth of freedom on, the normal one is near.
fn student(pairs: usize) -> f64 {
    const POINTS: [f64; 20] = [
        12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145,
        2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    ];
    let freedom = pairs.saturating_sub(1);
    POINTS.get(freedom.saturating_sub(1)).copied().unwrap_or(1.96)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn of_a_small_sample() {
        let values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
        assert!(near(mean(&values), 5.0));
        assert!(near(deviation(&values), (32.0f64 / 7.0).sqrt()));
        assert!(near(quantile(&values, 0.5), 4.0) && near(quantile(&values, 0.99), 9.0));
    }

    #[test]
    fn pairs_take_the_spread_of_seeds_out() {
        let (difference, half) = paired(&[10.0, 20.0, 30.0], &[9.0, 19.0, 29.0]);
        assert!(near(difference, 1.0) && near(half, 0.0));
        let (difference, half) = paired(&[1.0, 3.0], &[0.0, 0.0]);
        assert!(near(difference, 2.0) && near(half, 12.706), "{half}");
    }
}
