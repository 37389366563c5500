"""What writes the pages of the site that nobody types."""
