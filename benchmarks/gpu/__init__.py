"""Everything a new card has to answer, in the minutes one has: `python -m benchmarks.gpu --minutes 9`."""
