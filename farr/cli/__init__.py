"""The command line: each module is one command or one group of them, imported when it is called."""
