"""The tables and figures of the papers, rendered from stored rows. Trains nothing."""
