"""Plugins, configuration, run identities, results rows and provenance. Imports no snakemake."""
