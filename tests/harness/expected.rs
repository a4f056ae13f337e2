//! The warnings that a test provokes, by a part of their text. A test names what it provokes; everything else fails it.
