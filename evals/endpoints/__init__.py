"""A model behind a server, and servers of emeval's own. Imports questions and below."""
