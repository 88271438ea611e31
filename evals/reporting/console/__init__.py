"""What a person sees on a terminal. Every text that came from outside is escaped here."""
