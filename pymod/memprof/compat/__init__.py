"""Other profilers' interfaces over memprof's trace: one module for each."""
