"""A Hugging Face Hub on the loopback interface, for tests.

It implements the part of the Hub's HTTP protocol that the real `huggingface_hub` client
needs to create, fill, list and read model repositories, and fails on demand. It has no
Xet, pagination, quotas or real permissions.
"""

from tests.hub.hub_double.faults import Fault as Fault
from tests.hub.hub_double.server import HubDouble as HubDouble
