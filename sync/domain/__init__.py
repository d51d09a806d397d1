"""The pure domain of webhooks: events, formats, endpoints, routing and retry rules. No I/O."""
