"""Speed of training (`python -m benchmarks`) and of the augmentation pipeline (`python -m benchmarks.pipeline`)."""
