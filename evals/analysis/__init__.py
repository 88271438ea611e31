"""What recorded runs say beyond their rates. Imports runner and below."""
