"""`python -m autoplace`."""

from autoplace.cli import main

if __name__ == "__main__":
    main()
