"""What adapters run on: engine hosts now; HTTP pools, worker processes and models as they come."""
