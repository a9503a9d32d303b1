//! Cells that a person reads as numbers or times, and that are words here.

use super::super::cell;

/// What the odd cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// Dates and times.
    Times,
    /// Numbers with something between the thousands.
    Thousands,
    /// Numbers with a percent sign.
    Percents,
    /// Numbers with the sign of a currency.
    Currencies,
    /// Infinite numbers, and those that single precision cannot hold.
    TooLarge,
    /// Whole numbers with more digits than double precision keeps, as ids have.
    TooLong,
}

impl Oddity {
    /// What it is about the cell that keeps it from being a number, if anything.
    pub(super) fn of(cell: &str, decimal: char) -> Option<Self> {
        let is_number = |cell: &str| ['.', ','].into_iter().any(|decimal| cell::number(cell, decimal).is_some());
        let is_amount = |cell: &str| is_number(cell.trim()) || has_thousands(cell.trim());
        if let Some(number) = cell::number(cell, decimal) {
            return cell::is_rounded(cell, number).then_some(Self::TooLong);
        }
        if cell.parse::<f64>().is_ok_and(|number| number.abs() > f64::from(f32::MAX)) {
            Some(Self::TooLarge)
        } else if cell.strip_suffix('%').is_some_and(is_amount) {
            Some(Self::Percents)
        } else if cell.strip_prefix(CURRENCIES).or(cell.strip_suffix(CURRENCIES)).is_some_and(is_amount) {
            Some(Self::Currencies)
        } else if is_time(cell) {
            Some(Self::Times)
        } else {
            has_thousands(cell).then_some(Self::Thousands)
        }
    }

    /// What a column of such cells is in words, and what to do about it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Times => "it holds dates or times; make numbers of them, as a column of years and one of months",
            Self::Thousands => "it holds numbers with marks between their thousands; take the marks out",
            Self::Percents => "it holds numbers with percent signs; take the signs out",
            Self::Currencies => "it holds numbers with signs of a currency; take the signs out",
            Self::TooLarge => {
                "it holds numbers that are infinite, or larger than 3.4e38; write what they stand for, or nothing"
            }
            Self::TooLong => "it holds whole numbers with more digits than a number keeps, as ids have",
        }
    }
}

const CURRENCIES: [char; 4] = ['$', '€', '£', '¥'];

fn is_digits(text: &str, n: std::ops::RangeInclusive<usize>) -> bool {
    n.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether it is a number whose thousands are marked, as `1,234` or `-1'234'567.8`.
fn has_thousands(cell: &str) -> bool {
    let cell = cell.strip_prefix(['+', '-']).unwrap_or(cell);
    let marks = [',', '.', '\'', '’', ' ', '\u{a0}', '\u{202f}', '_'];
    marks.into_iter().any(|mark| {
        let Some((first, rest)) = cell.split_once(mark) else { return false };
        let other = if mark == ',' { '.' } else { ',' };
        let (whole, broken) = rest
            .split_once(['.', other])
            .filter(|_| mark != '.')
            .unwrap_or_else(|| rest.split_once(',').unwrap_or((rest, "0")));
        is_digits(first, 1..=3) && whole.split(mark).all(|group| is_digits(group, 3..=3)) && is_digits(broken, 1..=20)
    })
}

/// Whether it is a date, a time, or both: `2024-01-31`, `31.1.2024`, `1/31/24 12:30`, `12:30:05`.
fn is_time(cell: &str) -> bool {
    let is_clock = |text: &str| {
        let text = text.trim_end_matches('Z');
        let parts: Vec<&str> = text.split(':').collect();
        let seconds = |part: &str| is_digits(part.split(['.', '+', '-']).next().unwrap_or(""), 1..=2);
        (2..=4).contains(&parts.len()) && parts.iter().all(|part| seconds(part))
    };
    let (date, clock) = cell.split_once(['T', ' ']).unwrap_or((cell, "0:00"));
    let is_date = ['-', '/', '.'].into_iter().any(|mark| {
        let parts: Vec<&str> = date.split(mark).collect();
        let is_year = |part: &str| is_digits(part, 4..=4) || (mark == '/' && is_digits(part, 2..=2));
        let is_day = |part: &str| is_digits(part, 1..=2);
        match parts[..] {
            [a, b, c] => is_day(b) && ((is_year(a) && is_day(c)) || (is_day(a) && is_year(c))),
            _ => false,
        }
    });
    is_clock(cell) || (is_date && is_clock(clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_as_a_number_or_a_time_is_known_by_its_form() {
        for (cells, oddity) in [
            (
                &["2024-01-31", "31.1.2024", "1/31/24", "2024-01-31T12:30:05Z", "31.12.2024 12:30", "12:30"][..],
                Oddity::Times,
            ),
            (&["1,234", "1'234'567.8", "-12 345", "1.234.567,89", "1\u{a0}000", "1_000"], Oddity::Thousands),
            (&["12%", "1.5 %", "1,5%", "1,234%"], Oddity::Percents),
            (&["$5", "3.50 €", "£1,234.50"], Oddity::Currencies),
            (&["inf", "-Infinity", "1e39"], Oddity::TooLarge),
            (&["9007199254740993"], Oddity::TooLong),
        ] {
            for cell in cells {
                assert_eq!(Oddity::of(cell, '.'), Some(oddity), "{cell}");
            }
        }
        for plain in
            ["1.5", "-3", "red", "a-b-c", "1.2.3", "10:a", "1-2-3", "12,34", "$", "%", "nan", "", "1,2345", "é"]
        {
            assert_eq!(Oddity::of(plain, '.'), None, "{plain}");
        }
        assert_eq!(["1.234", "1,5", "1.5"].map(|cell| Oddity::of(cell, ',')), [Some(Oddity::Thousands), None, None]);
    }
}
