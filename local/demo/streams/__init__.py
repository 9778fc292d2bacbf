"""The change streams in the demo, the e2e tests and the soak: what is written, and what arrives where."""
