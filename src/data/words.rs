//! Words of a text in any script.
//!
//! A word is a run of letters, with their marks and apostrophes. Scripts that put no space between words (Chinese,
//! Japanese, Thai, Lao, Burmese, Khmer) have a word for each letter. Digits and signs are no words. Upper case counts
//! as lower case.

use std::ops::RangeInclusive;

/// The text as its words are compared: in lower case, with one kind of apostrophe.
pub(super) fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    if lower.contains('\u{2019}') { lower.replace('\u{2019}', "'") } else { lower }
}

/// The words of a text that is [`plain`].
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[rest.find(is_part)?..];
        let mut letters = rest.char_indices();
        let alone = letters.next().is_some_and(|(_, first)| stands_alone(first));
        let end = letters.find(|(_, c)| if alone { !is_mark(*c) } else { !is_part(*c) || stands_alone(*c) });
        let (word, after) = rest.split_at(end.map_or(rest.len(), |(place, _)| place));
        rest = after;
        Some(word)
    })
}

fn is_part(c: char) -> bool {
    c.is_ascii_lowercase() || c == '\'' || (!c.is_ascii() && (c.is_alphabetic() || is_mark(c)))
}

fn within(c: char, ranges: &[RangeInclusive<char>]) -> bool {
    ranges.iter().any(|range| range.contains(&c))
}

/// Letters of scripts that put no space between words.
fn stands_alone(c: char) -> bool {
    const RANGES: [RangeInclusive<char>; 11] = [
        '\u{e00}'..='\u{e7f}',     // Thai
        '\u{e80}'..='\u{eff}',     // Lao
        '\u{1000}'..='\u{109f}',   // Burmese
        '\u{1780}'..='\u{17ff}',   // Khmer
        '\u{3040}'..='\u{30ff}',   // hiragana, katakana
        '\u{31f0}'..='\u{31ff}',   // katakana
        '\u{3400}'..='\u{4dbf}',   // ideographs
        '\u{4e00}'..='\u{9fff}',   // ideographs
        '\u{f900}'..='\u{faff}',   // ideographs
        '\u{ff66}'..='\u{ff9f}',   // half-width katakana
        '\u{20000}'..='\u{3ffff}', // ideographs
    ];
    c >= '\u{e00}' && within(c, &RANGES) && !is_mark(c)
}

/// Marks that belong to the letter before them and are no letters themselves for [`char::is_alphabetic`], or are marks
/// of the scripts without spaces.
fn is_mark(c: char) -> bool {
    const RANGES: [RangeInclusive<char>; 24] = [
        '\u{300}'..='\u{36f}',   // accents
        '\u{483}'..='\u{487}',   // Cyrillic
        '\u{591}'..='\u{5bd}',   // Hebrew points
        '\u{610}'..='\u{61a}',   // Arabic
        '\u{64b}'..='\u{65f}',   // Arabic vowels
        '\u{93c}'..='\u{94d}',   // Devanagari
        '\u{9bc}'..='\u{9cd}',   // Bengali
        '\u{a3c}'..='\u{a4d}',   // Gurmukhi
        '\u{abc}'..='\u{acd}',   // Gujarati
        '\u{b3c}'..='\u{b4d}',   // Oriya
        '\u{bbe}'..='\u{bcd}',   // Tamil
        '\u{c3e}'..='\u{c4d}',   // Telugu
        '\u{cbc}'..='\u{ccd}',   // Kannada
        '\u{d3c}'..='\u{d4d}',   // Malayalam
        '\u{dca}'..='\u{ddf}',   // Sinhala
        '\u{e31}'..='\u{e31}',   // Thai
        '\u{e34}'..='\u{e3a}',   // Thai vowels
        '\u{e47}'..='\u{e4e}',   // Thai tones
        '\u{eb1}'..='\u{eb1}',   // Lao
        '\u{eb4}'..='\u{ece}',   // Lao vowels and tones
        '\u{102b}'..='\u{103e}', // Burmese vowels
        '\u{17b4}'..='\u{17d3}', // Khmer vowels
        '\u{200c}'..='\u{200d}', // joiners
        '\u{3099}'..='\u{309a}', // kana voicing
    ];
    c >= '\u{300}' && within(c, &RANGES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words_of(text: &str) -> Vec<String> {
        words(&plain(text)).map(str::to_owned).collect()
    }

    #[test]
    fn words_of_any_script_are_words() {
        assert_eq!(
            words_of("Good, GOOD film -- don't miss it! 10/10"),
            ["good", "good", "film", "don't", "miss", "it"]
        );
        assert_eq!(words_of("Всё ХОРОШО, очень"), ["всё", "хорошо", "очень"]);
        assert_eq!(words_of("Καλό! Šaštín l’homme über"), ["καλό", "šaštín", "l'homme", "über"]);
        assert_eq!(words_of("cafe\u{301} naïve"), ["cafe\u{301}", "naïve"]);
        assert_eq!(words_of("शब्द अच्छा है।"), ["शब्द", "अच्छा", "है"]);
        assert_eq!(words_of("كِتَابٌ جيد، سيئ"), ["كِتَابٌ", "جيد", "سيئ"]);
        assert_eq!(words_of("좋은 영화"), ["좋은", "영화"]);
        assert_eq!(words_of("很好。good片"), ["很", "好", "good", "片"]);
        assert_eq!(words_of("ดีมาก"), ["ดี", "ม", "า", "ก"]);
        assert!(words_of("123 -- !? 😀 ，。").is_empty());
    }
}
