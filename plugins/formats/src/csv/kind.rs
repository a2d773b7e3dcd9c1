//! The column types a CSV dataset can declare, and how they are guessed where none is declared.

use arrow_schema::{DataType, TimeUnit};

/// How Arrow's own, table-free time zone support names UTC.
pub const UTC: &str = "+00:00";

/// The type of one column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` and `false`.
    Boolean,
    /// Signed 8-bit integers.
    Int8,
    /// Signed 16-bit integers.
    Int16,
    /// Signed 32-bit integers.
    Int32,
    /// Signed 64-bit integers.
    Int64,
    /// Unsigned 8-bit integers.
    UInt8,
    /// Unsigned 16-bit integers.
    UInt16,
    /// Unsigned 32-bit integers.
    UInt32,
    /// Unsigned 64-bit integers.
    UInt64,
    /// 32-bit floats.
    Float32,
    /// 64-bit floats.
    Float64,
    /// Text.
    Text,
    /// Text with few different values, each kept once.
    Dictionary,
    /// A day.
    Date,
    /// A moment in UTC, of the given resolution.
    Timestamp(TimeUnit),
}

/// Every name a dataset's `types` may use, with what it stands for.
const NAMES: [(&str, Kind); 19] = [
    ("boolean", Kind::Boolean),
    ("int8", Kind::Int8),
    ("int16", Kind::Int16),
    ("int32", Kind::Int32),
    ("int64", Kind::Int64),
    ("uint8", Kind::UInt8),
    ("uint16", Kind::UInt16),
    ("uint32", Kind::UInt32),
    ("uint64", Kind::UInt64),
    ("float32", Kind::Float32),
    ("float64", Kind::Float64),
    ("string", Kind::Text),
    ("dictionary", Kind::Dictionary),
    ("date", Kind::Date),
    ("timestamp", Kind::Timestamp(TimeUnit::Microsecond)),
    ("timestamp_s", Kind::Timestamp(TimeUnit::Second)),
    ("timestamp_ms", Kind::Timestamp(TimeUnit::Millisecond)),
    ("timestamp_us", Kind::Timestamp(TimeUnit::Microsecond)),
    ("timestamp_ns", Kind::Timestamp(TimeUnit::Nanosecond)),
];

impl Kind {
    /// Finds a type by the name a catalog gives it.
    pub fn named(name: &str) -> Option<Self> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
    }

    /// The name to show for it.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    /// All names, for messages.
    pub fn names() -> String {
        NAMES.map(|(name, _)| name).join(", ")
    }

    /// The Arrow type of the column.
    pub fn data_type(self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::UInt8 => DataType::UInt8,
            Self::UInt16 => DataType::UInt16,
            Self::UInt32 => DataType::UInt32,
            Self::UInt64 => DataType::UInt64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Text => DataType::Utf8,
            Self::Dictionary => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            Self::Date => DataType::Date32,
            Self::Timestamp(unit) => DataType::Timestamp(unit, Some(UTC.into())),
        }
    }
}

/// Narrows down the type of a column, value by value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Guess {
    boolean: bool,
    integer: bool,
    float: bool,
    text: bool,
}

impl Guess {
    /// Takes one present value into account.
    pub fn see(&mut self, value: &[u8]) {
        if value == b"true" || value == b"false" {
            self.boolean = true;
        } else if super::number::integer(value).is_some() {
            self.integer = true;
        } else if super::number::float(value).is_some() {
            self.float = true;
        } else {
            self.text = true;
        }
    }

    /// The narrowest type that holds all values seen; text where there was none or they disagree.
    pub fn kind(self) -> Kind {
        match (self.text, self.boolean, self.float, self.integer) {
            (false, true, false, false) => Kind::Boolean,
            (false, false, true, _) => Kind::Float64,
            (false, false, false, true) => Kind::Int64,
            _ => Kind::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_the_narrowest_type() {
        let check = |values: &[&str], expected: Kind| {
            let mut guess = Guess::default();
            values.iter().for_each(|value| guess.see(value.as_bytes()));
            assert_eq!(guess.kind(), expected, "{values:?}");
        };
        check(&["1", "-2"], Kind::Int64);
        check(&["1", "2.5", "1e9"], Kind::Float64);
        check(&["true", "false"], Kind::Boolean);
        check(&["true", "1"], Kind::Text);
        check(&["1", "2013-01-01"], Kind::Text);
        check(&["99999999999999999999"], Kind::Float64);
        check(&[], Kind::Text);
    }

    #[test]
    fn every_name_stands_for_its_type() {
        for (name, kind) in NAMES {
            assert_eq!(Kind::named(name), Some(kind));
            assert!(Kind::named(kind.name()).is_some());
        }
    }
}
