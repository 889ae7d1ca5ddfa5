"""Evaluation: accuracies of many candidates, by threads, processes, GPUs or a cluster."""
