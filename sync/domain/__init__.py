"""What a webhook is, pure: events, formats, endpoints, routing, and the rules of retry. No I/O."""
