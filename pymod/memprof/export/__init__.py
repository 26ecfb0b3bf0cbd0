"""Reports for tools: JSON documents with a format name and a version."""
