"""What several tests share: made-up results, small projects, damaged files, programs to start as processes."""
