//! Colors: each method has one of its own in every chart.

/// A color: red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color(pub u8, pub u8, pub u8);

impl Color {
    /// Blue, for what is to be looked at.
    pub const BLUE: Self = Self(31, 111, 235);
    /// Red, for what went wrong.
    pub const RED: Self = Self(209, 73, 91);
    /// Gray, for what is there to compare with.
    pub const GRAY: Self = Self(128, 134, 142);
    /// Colors for many lines: blue and gray, then colors that colorblind people can tell apart (Okabe and Ito 2008).
    pub const MANY: [Self; 8] = [
        Self(31, 111, 235),
        Self(128, 134, 142),
        Self(213, 94, 0),
        Self(0, 158, 115),
        Self(204, 121, 167),
        Self(230, 159, 0),
        Self(86, 180, 233),
        Self(60, 60, 60),
    ];

    /// Colors of the methods that ship with the crate.
    const METHODS: [(&'static str, Self); 17] = [
        ("lr", Self::BLUE),
        ("joint", Self(111, 66, 193)),
        ("weight-decay", Self(86, 180, 233)),
        ("hu-lr", Self(0, 110, 120)),
        ("hu-lambda", Self(150, 110, 200)),
        ("lr-line-search", Self(20, 70, 160)),
        ("constant", Self::RED),
        ("cosine", Self::GRAY),
        ("warmup-cosine", Self(70, 78, 90)),
        ("linear", Self(120, 94, 40)),
        ("wsd", Self(90, 150, 20)),
        ("greedy", Self(0, 158, 115)),
        ("plateau", Self(204, 121, 167)),
        ("one-cycle", Self(230, 159, 0)),
        ("step", Self(146, 96, 46)),
        ("always-accept", Self(60, 60, 60)),
        ("random", Self(165, 165, 30)),
    ];
    /// Colors of controllers that somebody trained.
    const OWN: [Self; 3] = [Self(56, 139, 253), Self(130, 80, 223), Self(8, 145, 178)];

    /// The color of a schedule or controller, the same in every chart. A name that does not ship with the crate gets
    /// one of three colors.
    ///
    /// ```
    /// use qgd::report::Color;
    /// assert_eq!([Color::of_method("lr"), Color::of_method("constant")], [Color::BLUE, Color::RED]);
    /// assert_eq!(Color::of_method("my.qgd"), Color::of_method("my.qgd"));
    /// ```
    pub fn of_method(name: &str) -> Self {
        let known = Self::METHODS.iter().find(|(known, _)| *known == name).map(|(_, color)| *color);
        let hash = crate::rng::fnv1a(name.as_bytes()) as usize;
        known.unwrap_or(Self::OWN[hash % Self::OWN.len()])
    }

    /// The text in this color, by ANSI escapes for 24-bit color; unchanged if `colored` is false.
    pub fn paint(self, text: &str, colored: bool) -> String {
        let Self(red, green, blue) = self;
        if colored { format!("\x1b[38;2;{red};{green};{blue}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A lighter color: halfway to white.
    ///
    /// ```
    /// assert_eq!(qgd::report::Color(1, 55, 255).lighter(), qgd::report::Color(128, 155, 255));
    /// ```
    pub fn lighter(self) -> Self {
        self.toward_white(2)
    }

    /// The color for a dark background: a third of the way to white.
    ///
    /// ```
    /// assert_eq!(qgd::report::Color(0, 60, 255).on_dark(), qgd::report::Color(85, 125, 255));
    /// ```
    pub fn on_dark(self) -> Self {
        self.toward_white(3)
    }

    /// A color nearer to white by a share of the way, the inverse of `share`.
    fn toward_white(self, share: u8) -> Self {
        let lighter = |part: u8| part + (255 - part) / share;
        Self(lighter(self.0), lighter(self.1), lighter(self.2))
    }

    /// As `1f6feb`.
    ///
    /// ```
    /// assert_eq!(qgd::report::Color::BLUE.hex(), "1f6feb");
    /// ```
    pub fn hex(self) -> String {
        let Self(red, green, blue) = self;
        format!("{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::Pretrained;
    use crate::schedule::Schedule;

    #[test]
    fn every_method_that_ships_has_a_color_of_its_own() {
        let schedules = Schedule::ALL.map(Schedule::name);
        let names: Vec<&str> = schedules.into_iter().chain(Pretrained::NAMES).collect();
        for (i, name) in names.iter().enumerate() {
            assert!(Color::METHODS.iter().any(|(known, _)| known == name), "{name}");
            let twin = names[..i].iter().find(|other| Color::of_method(other) == Color::of_method(name));
            assert_eq!(twin, None, "{name}");
        }
    }
}
