"""Contracts of methods and backbones, and what finds, checks, composes and tries them."""
