"""One figure per file, each a command that writes a PNG and an SVG."""
