"""From the files under config/ to runs: presets, methods, grids of artefacts, and the rows that a run leaves."""
