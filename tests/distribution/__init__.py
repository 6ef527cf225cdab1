"""Training on several simulated devices equals training on one device."""
