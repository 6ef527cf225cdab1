"""What the examples that train on pictures share."""
