"""One cell end to end: configuration, batching, the results store, provenance."""
