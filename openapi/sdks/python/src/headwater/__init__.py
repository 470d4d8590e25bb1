"""Client of Headwater: a producer, consumers and a tail over the generated calls.

Every other call is a function of ``headwater.streaming.api`` or ``headwater.management.api``.
"""

from ._consume import Gap, Page
from ._errors import HeadwaterError
from ._group import GroupPage, TopicPartition
from ._headwater import Headwater
from ._producer import Producer, Receipt
from ._record import NewRecord, ReceivedRecord
from ._retry import Retry
from ._tail import Batch

__all__ = [
    "Batch",
    "Gap",
    "GroupPage",
    "Headwater",
    "HeadwaterError",
    "NewRecord",
    "Page",
    "Producer",
    "ReceivedRecord",
    "Receipt",
    "Retry",
    "TopicPartition",
]
