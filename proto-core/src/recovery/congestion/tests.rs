//! Each controller against a path that the test describes.
