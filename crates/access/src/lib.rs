//! The access file's text, keys, sendmail's lookup rules, our block. Pure: does not know where the text is stored.

pub mod admins;
pub mod block;
pub mod comment;
mod edit;
pub mod key;
mod layout;
pub mod lookup;
pub mod managed;
pub mod remedy;
pub mod text;
pub mod value;
