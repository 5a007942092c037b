"""What must hold whatever happened: the invariants of log, JetStream, read models and money."""
