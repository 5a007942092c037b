"""From the log to NATS: the relay of all events, and the relay of the agencies' feeds."""
