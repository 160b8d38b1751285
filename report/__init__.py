"""From stored rows to tables, figures and the leaderboard page. Imports no torch and trains nothing."""
