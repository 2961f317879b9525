"""`python -m pinstripe_bot` is `pinstripe`."""

from pinstripe_bot.cli import main

if __name__ == "__main__":
    main(prog_name="pinstripe")
