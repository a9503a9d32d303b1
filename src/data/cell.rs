//! What a single cell of a table means.

/// Words that stand for no value, in any case; an empty cell does too. They are those of pandas (`na_values` of `read_csv`),
/// and a question mark.
const NO_VALUE: [&str; 14] = [
    "?", "na", "n/a", "nan", "-nan", "null", "<na>", "#na", "#n/a", "#n/a n/a", "1.#ind", "-1.#ind", "1.#qnan",
    "-1.#qnan",
];
/// As Python writes it. In small letters it is a word like any other, and often the name of a class.
const NONE: &str = "None";

/// Whether the cell holds no value.
pub(super) fn is_missing(cell: &str) -> bool {
    cell.is_empty() || cell == NONE || NO_VALUE.iter().any(|word| cell.eq_ignore_ascii_case(word))
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

/// From here on double precision leaves out whole numbers: the next one is read as this.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Whether the cell holds a whole number with more digits than double precision keeps, so that it would be taken for one
/// beside it.
pub(super) fn is_rounded(cell: &str, number: f64) -> bool {
    if number.abs() < LARGEST_EXACT {
        return false;
    }
    let digits = cell.trim_start_matches(['+', '-']).trim_start_matches('0');
    let (whole, broken) = digits.split_once(['.', ',']).unwrap_or((digits, ""));
    let is_whole = whole.bytes().all(|byte| byte.is_ascii_digit()) && broken.bytes().all(|byte| byte == b'0');
    is_whole && format!("{:.0}", number.abs()) != whole
}

/// What all ways to write a number have in common, as `1`, `1.0` and `01`; none where the cell holds no number, or one that
/// would be rounded.
pub(super) fn number_bits(cell: &str, decimal: char) -> Option<u64> {
    // Added to -0 it makes 0.
    number(cell, decimal).filter(|number| number.abs() < LARGEST_EXACT).map(|number| (number + 0.0).to_bits())
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
        // `STR_NA_VALUES` of pandas 2.
        let pandas =
            "#N/A,#N/A N/A,#NA,-1.#IND,-1.#QNAN,-NaN,-nan,1.#IND,1.#QNAN,<NA>,N/A,NA,NULL,NaN,None,n/a,nan,null";
        assert!(pandas.split(',').all(is_missing));
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

    #[test]
    fn numbers_too_long_to_be_exact_are_known_and_ways_to_write_a_number_are_one() {
        let rounded = |cell: &str| is_rounded(cell, number(cell, '.').unwrap());
        for long in
            ["9007199254740993", "-9007199254740993", "+009007199254740993", "9007199254740993.0", "123456789012345678"]
        {
            assert!(rounded(long), "{long}");
        }
        for exact in ["9007199254740992", "9007199254740994", "10000000000000000000", "1e30", "0.1", "-5", "1.5e300"] {
            assert!(!number(exact, '.').is_some_and(|number| is_rounded(exact, number)), "{exact}");
        }
        let bits = ["1", "1.0", "01", "+1", "1e0"].map(|cell| number_bits(cell, '.'));
        assert!(bits[0].is_some() && bits.iter().all(|found| *found == bits[0]));
        assert_eq!(number_bits("-0", '.'), number_bits("0", '.'));
        assert_eq!(number_bits("1,50", ','), number_bits("1,5", ','));
        assert_ne!(number_bits("1.5", '.'), number_bits("1.51", '.'));
        assert_eq!(["x", "9007199254740993"].map(|cell| number_bits(cell, '.')), [None, None]);
    }
}
