"""What acts on this process: tracing, measuring, looking for leaks."""
