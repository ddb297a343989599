//! The shape of one section of the config: each key once, with its default, its type and its documentation.
//!
//! A file gives some keys; drop-ins give others; the last wins, and every value remembers which file set it. Each file
//! is read by itself, so that an error names that file, its line and its column.

use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

/// A value with where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    value: T,
    source: Source,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// No file set it.
    Default,
    /// This file did.
    File(Arc<Path>),
}

impl<T> Setting<T> {
    pub(crate) fn default_value(value: T) -> Self {
        Self { value, source: Source::Default }
    }

    pub(crate) fn set(&mut self, value: Option<T>, file: &Arc<Path>) {
        if let Some(value) = value {
            *self = Self { value, source: Source::File(Arc::clone(file)) };
        }
    }

    pub(crate) fn source(&self) -> &Source {
        &self.source
    }
}

impl<T> Deref for Setting<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// One key as `check-config` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// `[section] key`, or `key` for the top level.
    pub name: String,
    /// The value as TOML.
    pub value: String,
    /// Which file set it.
    pub source: Source,
}

/// The value as TOML: as JSON, but for the one character that JSON leaves as it is and TOML does not; tables as TOML writes
/// them in a line.
pub(crate) fn as_toml(value: &impl Serialize) -> String {
    let tables = |list: &[toml::Value]| list.first().is_some_and(toml::Value::is_table);
    if let Ok(toml::Value::Array(list)) = toml::Value::try_from(value)
        && tables(&list)
    {
        return toml::Value::Array(list).to_string();
    }
    serde_json::to_string(value).unwrap_or_default().replace('\u{7f}', "\\u007f")
}

/// Declares a section: the struct in force, and beside it the struct that one file gives (all keys optional, none
/// unknown).
macro_rules! section {
    ($(#[doc = $about:literal])* $name:ident, $given:ident, $title:literal, {
        $( $(#[doc = $doc:literal])* $key:ident : $ty:ty = $default:expr ),* $(,)?
    }) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $( $(#[doc = $doc])* pub $key: Setting<$ty>, )*
        }

        #[derive(Debug, Default, serde::Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "snake_case")]
        pub(crate) struct $given {
            $( $key: Option<$ty>, )*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $key: Setting::default_value($default), )* }
            }
        }

        impl $name {
            pub(crate) fn overlay(&mut self, given: $given, file: &std::sync::Arc<std::path::Path>) {
                $( self.$key.set(given.$key, file); )*
            }

            pub(crate) fn shown(&self) -> Vec<Shown> {
                vec![ $( Shown {
                    name: concat!($title, stringify!($key)).replace("r#", ""),
                    value: $crate::section::as_toml(&*self.$key),
                    source: self.$key.source().clone(),
                }, )* ]
            }
        }
    };
}

pub(crate) use section;
