"""`python -m orchestra`: the command `orchestra`, where its script is not on the path."""

from orchestra.cli.main import main

if __name__ == "__main__":
    main(prog_name="orchestra")
