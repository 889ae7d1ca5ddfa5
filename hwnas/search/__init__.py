"""The search: genome, inner searches, the verify-and-refit loop, the run folder, the front."""
