"""Data sets in their original forms: one reader per file format, each a `Source`."""
