"""Training: one loop for every backbone and method, exact resume, snapshots of the averaged generator."""
