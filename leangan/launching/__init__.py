"""How a job takes its GPUs and starts its processes."""
