"""The tests; a package, so that no `tests` that a dependency installs is imported instead."""
