"""From stored rows to tables, figures and the leaderboard page. Trains nothing."""
