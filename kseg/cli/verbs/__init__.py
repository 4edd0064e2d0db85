"""One verb of the command a file: its docstring is the help, `add_arguments` and `run`."""
