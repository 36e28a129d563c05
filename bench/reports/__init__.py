"""Results of benchmarks in, tables, files for trackers and plots out."""
