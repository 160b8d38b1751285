"""What you need to know about a new card, in the few minutes you have: `python -m benchmarks.gpu --minutes 9`."""
