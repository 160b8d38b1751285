"""The leaderboard: measured, published and submitted numbers as a page and as data. Trains nothing."""
