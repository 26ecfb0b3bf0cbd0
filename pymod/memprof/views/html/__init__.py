"""Pages and tables for browsers and notebooks."""
