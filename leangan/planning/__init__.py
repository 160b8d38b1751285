"""What a call of the workflow will run, how long that takes and what it leaves on the disk."""
