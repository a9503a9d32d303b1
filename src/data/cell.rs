//! What a single cell of a table means.

/// Words that stand for no value, in any case; an empty cell does too.
const NO_VALUE: [&str; 5] = ["?", "na", "n/a", "nan", "null"];

/// Whether the cell holds no value.
pub(super) fn is_missing(cell: &str) -> bool {
    cell.is_empty() || NO_VALUE.iter().any(|word| cell.eq_ignore_ascii_case(word))
}

/// The number in the cell, if it holds one that single precision can hold. `decimal` stands before its broken part.
pub(super) fn number(cell: &str, decimal: char) -> Option<f64> {
    let number: f64 = match decimal {
        '.' => cell.parse().ok()?,
        // A point could be one between thousands: nobody knows, so it is no number.
        _ if cell.contains('.') => return None,
        _ => cell.replacen(decimal, ".", 1).parse().ok()?,
    };
    Some(number).filter(|number| number.abs() <= f64::from(f32::MAX))
}

/// Whether single precision holds the number exactly; where it is no number, that it is none.
pub(super) fn is_single(number: f64) -> bool {
    number.is_nan() || f64::from(number as f32).to_bits() == number.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_without_a_value_are_known_in_any_case() {
        assert!(["", "?", "NA", "n/a", "NaN", "NULL"].into_iter().all(is_missing));
        assert!(!["0", "none", "-", "nano", "NAN1"].into_iter().any(is_missing));
    }

    #[test]
    fn numbers_are_finite_in_single_precision_and_have_one_decimal_mark() {
        let points = ["1.5", "-2e3", "+.5", "7", "3.4e38"].map(|cell| number(cell, '.'));
        assert_eq!(points, [Some(1.5), Some(-2e3), Some(0.5), Some(7.0), Some(3.4e38)]);
        assert!(
            ["", "inf", "nan", "1e39", "1,5", "1 5", "0x10", "five"]
                .into_iter()
                .all(|cell| number(cell, '.').is_none())
        );
        assert_eq!(["1,5", "-2e3", ",5"].map(|cell| number(cell, ',')), [Some(1.5), Some(-2e3), Some(0.5)]);
        assert!(["1.5", "1.000,5", "1,000,5", "inf"].into_iter().all(|cell| number(cell, ',').is_none()));
        assert!(is_single(0.5) && is_single(f64::NAN) && !is_single(0.1) && !is_single(1_700_000_001.0));
    }
}
