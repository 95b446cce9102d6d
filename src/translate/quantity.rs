//! `resource.Quantity` → integers, rounded up as kube-scheduler does.
//!
//! Invariant: no amount is above [`CAP`], so sums over any real number of containers or pods cannot overflow,
//! and 10^9 GPUs stay 10^9. Text that is no quantity, or negative, is `None`; the caller decides what that means.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The largest amount: 2^50, a pebibyte or a trillion cores.
pub(super) const CAP: u64 = 1 << 50;

/// `Quantity` has nine decimals; what is finer is rounded up.
const NANO: u128 = 1_000_000_000;

/// Whole units, rounded up.
pub(super) fn whole(quantity: &Quantity) -> Option<u64> {
    scaled(&quantity.0, 1)
}

/// Thousandths, rounded up.
pub(super) fn milli(quantity: &Quantity) -> Option<u64> {
    scaled(&quantity.0, 1000)
}

fn scaled(text: &str, parts_per_unit: u128) -> Option<u64> {
    let unsigned = text.strip_prefix('+').unwrap_or(text);
    let end = unsigned.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (up, down) = factor(suffix)?;
    let product = nanos(number)?.saturating_mul(up).saturating_mul(parts_per_unit);
    let amount = product.div_ceil(down.saturating_mul(NANO));
    Some(u64::try_from(amount).unwrap_or(CAP).min(CAP))
}

/// A decimal number in thousand-millionths, rounded up.
fn nanos(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let kept = fraction.len().min(9);
    let (kept, rest) = fraction.split_at(kept);
    let rounding = u128::from(rest.bytes().any(|b| b != b'0'));
    let fraction = digits(&format!("{kept:0<9}"));
    Some(digits(whole).saturating_mul(NANO).saturating_add(fraction).saturating_add(rounding))
}

fn digits(text: &str) -> u128 {
    text.bytes().fold(0u128, |n, b| n.saturating_mul(10).saturating_add(u128::from(b.saturating_sub(b'0'))))
}

/// What a suffix multiplies by and divides by.
fn factor(suffix: &str) -> Option<(u128, u128)> {
    Some(match suffix {
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "" => (1, 1),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (NANO, 1),
        "T" => (1_000 * NANO, 1),
        "P" => (1_000_000 * NANO, 1),
        "E" => (NANO * NANO, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => return power_of_ten(exponent.strip_prefix(['e', 'E'])?),
    })
}

fn power_of_ten(exponent: &str) -> Option<(u128, u128)> {
    let exponent: i32 = exponent.parse().ok()?;
    let power = 10u128.checked_pow(exponent.unsigned_abs()).unwrap_or(u128::MAX);
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suffix() {
        let rows: &[(&str, Option<u64>, Option<u64>)] = &[
            ("0", Some(0), Some(0)),
            ("1", Some(1), Some(1000)),
            ("+2", Some(2), Some(2000)),
            ("100m", Some(1), Some(100)),
            ("1500m", Some(2), Some(1500)),
            ("0.5", Some(1), Some(500)),
            (".5", Some(1), Some(500)),
            ("5.", Some(5), Some(5000)),
            ("1u", Some(1), Some(1)),
            ("1n", Some(1), Some(1)),
            ("1000000n", Some(1), Some(1)),
            ("1000001n", Some(1), Some(2)),
            ("0.0000000001", Some(1), Some(1)),
            ("1k", Some(1000), Some(1_000_000)),
            ("3M", Some(3_000_000), Some(3_000_000_000)),
            ("1Ki", Some(1024), Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736), Some(1_610_612_736_000)),
            ("5Gi", Some(5_368_709_120), Some(5_368_709_120_000)),
            ("1Ti", Some(1 << 40), Some(1000 << 40).map(|n: u64| n.min(CAP))),
            ("1e3", Some(1000), Some(1_000_000)),
            ("1E3", Some(1000), Some(1_000_000)),
            ("25e-1", Some(3), Some(2500)),
            ("1000000000", Some(1_000_000_000), Some(1_000_000_000_000)),
            ("1E", Some(CAP), Some(CAP)),
            ("8Ei", Some(CAP), Some(CAP)),
            ("1e400", Some(CAP), Some(CAP)),
            ("1e-400", Some(1), Some(1)),
            ("99999999999999999999999999999999999999999999", Some(CAP), Some(CAP)),
            ("-1", None, None),
            ("", None, None),
            (".", None, None),
            ("1.2.3", None, None),
            ("Gi", None, None),
            ("1 Gi", None, None),
            ("1GiB", None, None),
            ("1e", None, None),
            ("many", None, None),
        ];
        for (text, expected_whole, expected_milli) in rows {
            let quantity = Quantity((*text).to_owned());
            assert_eq!((whole(&quantity), milli(&quantity)), (*expected_whole, *expected_milli), "{text:?}");
        }
    }
}
