"""Metrics as plugins: each file defines a class `Metric`, and its families go into the `metrics:` of a protocol.

docs/metrics.md shows how to write one; leangan/metrics/base.py has the contract.
"""
