"""What tests share: a mocked hub, readers of the template and of state machines."""
