"""Data sets: where they come from, how they are prepared, which images a run trains on."""
