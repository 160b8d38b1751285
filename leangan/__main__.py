"""`python -m leangan COMMAND ...` is `leangan COMMAND ...`."""

from leangan.cli import main

if __name__ == "__main__":
    main()
