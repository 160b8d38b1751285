"""Backbones: one folder per architecture, each with a class `Backbone` (contract in leangan/plugins/backbone.py)."""
