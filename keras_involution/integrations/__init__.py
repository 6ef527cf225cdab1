"""Integrations with other Keras libraries; each module needs its library."""
