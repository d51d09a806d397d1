"""The dbt models: learning time, and the views of the deliveries."""
