"""The process itself: packages that it loads meanwhile, and how often it looks for garbage."""
