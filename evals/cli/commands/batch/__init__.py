"""Commands about requests that go by file."""
