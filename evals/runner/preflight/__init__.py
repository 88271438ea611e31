"""What is checked before the first question: servers, adapters, judges, the machine."""
