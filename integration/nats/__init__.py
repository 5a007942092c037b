"""NATS: connections, streams, accounts, and what is wrong with them now."""
