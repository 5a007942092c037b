"""What others do with the same machine, the same server and the same bytes."""
