"""A Hugging Face Hub on the loopback interface, for tests.

It is a double: it speaks as much of the Hub's HTTP protocol as the real
`huggingface_hub` client needs to create, fill, list and read model repositories, and
fails on demand. What it does not do: Xet, pagination, quotas, real permissions.
"""

from tests.hub.hub_double.faults import Fault as Fault
from tests.hub.hub_double.server import HubDouble as HubDouble
