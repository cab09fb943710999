//! (laid out)
pub mod embedded;
