"""The HTTP interface: commands, queries, and what they share."""
