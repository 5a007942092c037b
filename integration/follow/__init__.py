"""From NATS to the read models: who follows, in which process, and rebuilds."""
