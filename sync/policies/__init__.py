"""Pure rules of delivery: what follows an attempt, when an endpoint rests, its rate."""
