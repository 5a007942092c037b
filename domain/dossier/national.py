"""The status list of the National Public Service Portal, and what of ours each stands for.

Business, money, delivery and synchronisation are axes of their own here; the portal's list mixes
them, so the first row that fits is the one.
"""

from collections.abc import Callable
from enum import IntEnum

from domain.dossier.events import Ground
from domain.dossier.state import Dossier, Status


class NationalStatus(IntEnum):
    """Trạng thái hồ sơ của Cổng Dịch vụ công quốc gia."""

    REGISTERED = 1
    """Mới đăng ký."""
    RECEIVED = 2
    """Được tiếp nhận."""
    NOT_RECEIVED = 3
    """Không được tiếp nhận."""
    IN_PROCESS = 4
    """Đang xử lý."""
    SUPPLEMENT_REQUESTED = 5
    """Yêu cầu bổ sung giấy tờ."""
    FINANCIAL_OBLIGATION = 6
    """Yêu cầu thực hiện nghĩa vụ tài chính."""
    WITHDRAWAL_REQUESTED = 7
    """Công dân yêu cầu rút hồ sơ."""
    STOPPED = 8
    """Dừng xử lý."""
    DONE = 9
    """Đã xử lý xong."""
    RETURNED = 10
    """Đã trả kết quả."""


def _paused(ground: Ground) -> Callable[[Dossier], bool]:
    return lambda d: d.suspension is not None and d.suspension.ground is ground


def _stands(*statuses: Status) -> Callable[[Dossier], bool]:
    """A closed dossier stands where it was closed."""
    return lambda d: (d.closed_from or d.status) in statuses


TABLE: tuple[tuple[NationalStatus, Callable[[Dossier], bool]], ...] = (
    (NationalStatus.RETURNED, _stands(Status.RETURNED)),
    (NationalStatus.DONE, _stands(Status.ISSUED)),
    (NationalStatus.NOT_RECEIVED, _stands(Status.TURNED_AWAY)),
    (NationalStatus.STOPPED, _stands(Status.STOPPED)),
    (NationalStatus.WITHDRAWAL_REQUESTED, lambda d: d.withdrawal_pending),
    (NationalStatus.SUPPLEMENT_REQUESTED, _stands(Status.AWAITING_SUPPLEMENT)),
    (NationalStatus.SUPPLEMENT_REQUESTED, _paused(Ground.SUPPLEMENT)),
    (NationalStatus.FINANCIAL_OBLIGATION, _paused(Ground.FINANCIAL_OBLIGATION)),
    (NationalStatus.STOPPED, _paused(Ground.HALT)),
    (NationalStatus.IN_PROCESS, _paused(Ground.POSTING)),
    (NationalStatus.REGISTERED, _stands(Status.LODGED)),
    (NationalStatus.RECEIVED, lambda d: d.status is Status.IN_PROGRESS and not d.begun),
    (NationalStatus.IN_PROCESS, lambda _d: True),
)
"""In this order, the first that fits; received is what nobody works on yet."""


def national_status(dossier: Dossier) -> NationalStatus:
    """What the portal is told of a dossier."""
    return next(status for status, fits in TABLE if fits(dossier))
