//! The VT-d driver against a small scripted unit that decodes the queue by constants of its own.

mod encoding;
