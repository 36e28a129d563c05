"""The hardware: this machine, its GPUs, and where a sweep runs."""
