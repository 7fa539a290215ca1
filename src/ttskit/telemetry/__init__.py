"""What a service does and how its providers fare, told to whoever wants to know."""
