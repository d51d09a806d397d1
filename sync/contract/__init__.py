"""What a customer's developer sees: facts, bodies, routing, headers, signatures, schemas."""
