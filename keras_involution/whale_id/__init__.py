"""Identification of whales and dolphins from photographs."""
