"""What is fetched over HTTP: URLs, downloads, and when to ask again."""
