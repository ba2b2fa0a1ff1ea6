"""The prediction server of this machine, its client, and the requests that go between them."""
