"""Data-efficiency methods: one file, one method."""
