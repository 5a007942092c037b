"""The servers that come with the program, and how processes are kept alive."""
