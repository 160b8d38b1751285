"""Extractors as plugins: each file defines a class `Extractor`, and its name is the `extractor:` of a protocol.

docs/metrics.md shows how to write one; leangan/metrics/base.py has the contract.
"""
