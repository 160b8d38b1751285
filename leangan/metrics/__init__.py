"""Metrics of generated images: features -> statistics -> number, through torch-fidelity."""
