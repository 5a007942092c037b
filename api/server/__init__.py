"""The process that serves HTTP: connections, limits, settings, logs, workers, the supervisor."""
