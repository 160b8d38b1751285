"""What has been measured: rows of all runs as one table, their pictures and logs, and the published numbers."""
