"""Several devices and hosts: which there are, and how a run is spread over them."""

from keras_involution.distribution.hosts import Hosts as Hosts
