"""The floor that every other package builds on: errors, files, processes, provenance and the spec of a run."""
