"""Backbones: one file per architecture, each with a class named `Backbone` (contract in `models/base.py`)."""
