"""Plans: TensorRT files that execute the fused network on one kind of GPU."""
