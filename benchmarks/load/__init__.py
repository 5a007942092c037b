"""What sends load and gathers data: generators, subscribers, stages, large logs."""
