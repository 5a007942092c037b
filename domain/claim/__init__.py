"""What only one may have: a bank transaction, a person's number, a result's number; each is a stream of one event."""
