//! The access file's text, keys, sendmail's lookup rules, our block. Pure: does not know where the text is stored.

pub mod key;
pub mod managed;
